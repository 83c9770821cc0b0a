package api

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
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

// pageReads are the pages that are being read, by instance.
type pageReads struct {
	*questions[int64, wire.InstancePage, *pageRead]
	answers *answer.Store
}

// pageRead is a page with its encoding, for all requests that came before it was there.
type pageRead struct {
	page   wire.InstancePage
	source *answer.Source[*pageRead]
}

func newPageReads(a *API) *pageReads {
	return &pageReads{
		questions: newQuestions[int64, wire.InstancePage, *pageRead](maxPages),
		answers: answer.NewStore(answer.Options{MaxBytes: maxInstancePageHold, MaxReaders: maxInstancePageReaders, Refuse: func(w http.ResponseWriter, why string) {
			a.write(w, &Problem{Status: http.StatusServiceUnavailable, Detail: why})
		}}),
	}
}

type pageInput struct {
	ID int64 `path:"id" minimum:"1" doc:"Instance id"`
}

func (a *API) instancePage(ctx context.Context, in *pageInput) (*huma.StreamResponse, error) {
	read, err := a.readPage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		w.Header().Set("Cache-Control", "no-store")
		read.source.ServeHTTP(w, r)
	}}, nil
}

// InstancePage reads the page of an instance's engine, as GET /v2/model-instances/{id}/page does. The page's Error says why there is none. The error is a *Problem, or
// that of ctx. The page must not be changed: others have it, too.
func (a *API) InstancePage(ctx context.Context, id int64) (*wire.InstancePage, error) {
	read, err := a.readPage(ctx, id)
	if err != nil {
		return nil, err
	}
	return &read.page, nil
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

// readPage reads the page of an instance together with all who want it now.
func (a *API) readPage(ctx context.Context, id int64) (*pageRead, error) {
	in, worker, err := findInstance(a.opts.Inventory.Snapshot(), id)
	if err != nil {
		return nil, err
	}
	read, ok, err := a.pages.share(ctx, id, worker, func(asked *question[wire.InstancePage, *pageRead]) (*pageRead, error) {
		page, err := ask(a, asked, "page", wire.PageEvent{ID: asked.id, Instance: in.Name, TimeoutMillis: pageTime.Milliseconds()}, pageTime, "the page")
		switch {
		case errors.Is(err, errStopping):
			return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: err.Error()}
		case err != nil:
			page = wire.InstancePage{URL: in.URL, Runtime: in.Runtime, RuntimeVersion: in.RuntimeVersion, FetchedAt: time.Now().UTC(), Error: err.Error()}
		}
		return a.newPageRead(page), nil
	})
	if !ok {
		return nil, huma.ErrorWithHeaders(
			&Problem{Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("%d pages are being read already; try again in a moment", maxPages)},
			http.Header{"Retry-After": {"2"}})
	}
	return read, err
}

// newPageRead encodes a worker's answer once for all who wait for it.
func (a *API) newPageRead(page wire.InstancePage) *pageRead {
	page.URL = fleet.BareURL(page.URL) // a worker leaves out secrets, too
	if page.Metrics == nil {
		page.Metrics = []wire.NativeReport{}
	}
	read := &pageRead{page: page}
	read.source = answer.NewSource(answer.SourceOptions[*pageRead]{
		Store: a.pages.answers, ContentType: "application/json", Compress: true, Current: func() *pageRead { return read },
		Make: func(_ *pageRead, w io.Writer) error {
			b := bufio.NewWriterSize(w, 16<<10)
			enc := json.NewEncoder(b)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(&read.page); err != nil {
				return err
			}
			return b.Flush()
		},
	})
	return read
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
