package api

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of instances' pages.
const (
	// maxPages bounds the pages that are being read. Requests for one instance share one reading.
	maxPages = 4
	// pageTime is how long a worker may take.
	pageTime = 10 * time.Second
	// maxPageBody bounds a worker's answer: two texts of 1 MiB and the list of metrics, with the escapes of JSON.
	maxPageBody = 8 << 20
	// maxInstancePageHold bounds the encoded answers in memory, except for the newest one, and maxInstancePageReaders their readers.
	maxInstancePageHold    = 24 << 20
	maxInstancePageReaders = 64
)

func (a *API) registerPages(h huma.API, inventoryTag, workersTag string) {
	const path = "/v2/model-instances/{id}/page"
	register(a, h, route{
		id: "get-model-instance-page", method: "GET", path: path, access: viewer, tag: inventoryTag,
		summary:     "An instance's own metrics page and what became of it",
		description: "The server asks the instance's worker, which reads the engine, and waits 10 s for it. Where there is no page, error has the reason: the engine cannot be read, and native is the beginning of what it sent; or the worker is not connected, or did not answer. Requests for one instance share a reading. 503 says that four pages are being read already.",
		errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, a.instancePage)
	h.OpenAPI().Paths[path].Get.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{
		"application/json": {Schema: h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[wire.InstancePage](), true, "")},
	}}
	register(a, h, route{
		id: "answer-page", method: "POST", path: "/v2/workers/{id}/pages/{run}", access: self, tag: workersTag, maxBody: maxPageBody,
		status: http.StatusNoContent, summary: "Answer with the page of an engine",
		errors: []int{http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity},
	}, a.answerPage)
}

// pageReads holds the pages that are being read.
type pageReads struct {
	answers *answer.Store

	mu         sync.Mutex
	byID       map[string]*pageRead
	byInstance map[int64]*pageRead
}

// pageRead is one reading of an instance's page, for all requests that came before it ended.
type pageRead struct {
	instance *fleet.Instance
	worker   *fleet.Worker
	answered chan wire.InstancePage // holds one
	ended    chan struct{}

	// Set before ended is closed: the answer, or why there is none.
	source  *answer.Source[*pageRead]
	problem error
}

func newPageReads(a *API) *pageReads {
	return &pageReads{
		byID: make(map[string]*pageRead), byInstance: make(map[int64]*pageRead),
		answers: answer.NewStore(answer.Options{MaxBytes: maxInstancePageHold, MaxReaders: maxInstancePageReaders, Refuse: func(w http.ResponseWriter, why string) {
			a.write(w, &Problem{Status: http.StatusServiceUnavailable, Detail: why})
		}}),
	}
}

// join returns the reading of an instance's page that is under way, or a new one with its id, which the caller must run. It returns nil if
// too many are under way.
func (p *pageReads) join(instance *fleet.Instance, worker *fleet.Worker) (read *pageRead, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if read = p.byInstance[instance.ID]; read != nil {
		return read, ""
	}
	if len(p.byInstance) >= maxPages {
		return nil, ""
	}
	id = rand.Text()
	read = &pageRead{instance: instance, worker: worker, answered: make(chan wire.InstancePage, 1), ended: make(chan struct{})}
	p.byInstance[instance.ID], p.byID[id] = read, read
	return read, id
}

// answer passes on a worker's answer, or returns false if nobody waits for it.
func (p *pageReads) answer(id string, worker int64, page wire.InstancePage) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	read := p.byID[id]
	if read == nil || read.worker.ID != worker {
		return false
	}
	delete(p.byID, id)
	read.answered <- page
	return true
}

// end lets the next request start a new reading.
func (p *pageReads) end(read *pageRead, id string) {
	p.mu.Lock()
	delete(p.byInstance, read.instance.ID)
	delete(p.byID, id)
	p.mu.Unlock()
	close(read.ended)
}

type pageInput struct {
	ID int64 `path:"id" minimum:"1" doc:"Instance id"`
}

func (a *API) instancePage(ctx context.Context, in *pageInput) (*huma.StreamResponse, error) {
	instance, worker, err := findInstance(a.opts.Inventory.Snapshot(), in.ID)
	if err != nil {
		return nil, err
	}
	read, id := a.pages.join(instance, worker)
	switch {
	case read == nil:
		return nil, huma.ErrorWithHeaders(
			&Problem{Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("%d pages are being read already; try again in a moment", maxPages)},
			http.Header{"Retry-After": {"2"}})
	case id != "":
		go func() { // others may wait for it when this request is gone
			defer a.pages.end(read, id)
			a.readPage(read, id)
		}()
	}
	select {
	case <-read.ended:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if read.problem != nil {
		return nil, read.problem
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		w.Header().Set("Cache-Control", "no-store")
		read.source.ServeHTTP(w, r)
	}}, nil
}

func findInstance(snapshot *fleet.Snapshot, id int64) (*fleet.Instance, *fleet.Worker, error) {
	if i, ok := slices.BinarySearchFunc(snapshot.Instances, id, func(in fleet.Instance, id int64) int { return cmp.Compare(in.ID, id) }); ok {
		in := &snapshot.Instances[i]
		if k, ok := slices.BinarySearchFunc(snapshot.Workers, in.WorkerID, func(w fleet.Worker, id int64) int { return cmp.Compare(w.ID, id) }); ok {
			return in, &snapshot.Workers[k], nil
		}
	}
	return nil, nil, &Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("there is no model instance %d; /v2/model-instances lists those that there are", id)}
}

// readPage asks the worker and waits for its answer.
func (a *API) readPage(read *pageRead, id string) {
	in, worker := read.instance, read.worker
	without := func(format string, args ...any) {
		read.source = a.pageSource(read, &wire.InstancePage{
			URL: in.URL, Runtime: in.Runtime, RuntimeVersion: in.RuntimeVersion, FetchedAt: time.Now().UTC(),
			Error: "worker " + worker.Name + fmt.Sprintf(format, args...),
		})
	}
	frame, err := eventFrame("event: page", wire.PageEvent{ID: id, Instance: in.Name, TimeoutMillis: pageTime.Milliseconds()})
	if err != nil {
		without(" cannot be asked: %v", err)
		return
	}
	if !slices.Contains(a.streams.open(), worker.ID) {
		without(" is not connected to this server now, so it cannot be asked for the page")
		return
	}
	if a.streams.send([]int64{worker.ID}, frame) == 0 {
		without(" does not take what this server sends")
		return
	}
	timer := time.NewTimer(pageTime)
	defer timer.Stop()
	select {
	case page := <-read.answered:
		read.source = a.pageSource(read, &page)
	case <-timer.C:
		if !slices.Contains(a.streams.open(), worker.ID) {
			without(" lost its connection to this server while it was asked for the page")
			return
		}
		without(" did not answer within %s: its version (%s) does not answer such requests, or it is busy", pageTime, cmp.Or(worker.Version, fleet.Unknown))
	case <-a.stopping:
		read.problem = &Problem{Status: http.StatusServiceUnavailable, Detail: "the server stops"}
	}
}

// pageSource encodes a worker's answer once for all who wait for it.
func (a *API) pageSource(read *pageRead, page *wire.InstancePage) *answer.Source[*pageRead] {
	page.URL = fleet.BareURL(page.URL) // a worker leaves out secrets, too
	if page.Metrics == nil {
		page.Metrics = []wire.NativeReport{}
	}
	return answer.NewSource(answer.SourceOptions[*pageRead]{
		Store: a.pages.answers, ContentType: "application/json", Compress: true, Current: func() *pageRead { return read },
		Make: func(_ *pageRead, w io.Writer) error {
			b := bufio.NewWriterSize(w, 16<<10)
			enc := json.NewEncoder(b)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(page); err != nil {
				return err
			}
			return b.Flush()
		},
	})
}

type pageAnswerInput struct {
	ID   int64  `path:"id" minimum:"1" doc:"Worker id"`
	Run  string `path:"run" maxLength:"64" doc:"Id of the request, as in its event"`
	Body wire.InstancePage
}

func (a *API) answerPage(_ context.Context, in *pageAnswerInput) (*none, error) {
	if !a.pages.answer(in.Run, in.ID, in.Body) {
		return nil, &Problem{Status: http.StatusGone, Detail: "the request has ended and no longer waits for this answer"}
	}
	return nil, nil
}
