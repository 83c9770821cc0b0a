package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

const (
	watchDescription = "Server-sent events. An event named mapping has a MappingEvent as data and the generation as id; the active one is sent at once unless it is the given one, then each new one. It is sent at once, too, if its document is another one than the given one, as after an upgrade of a server whose mapping extends the built-in one. One named dry-run has a DryRunEvent: the worker answers it under /v2/workers/{id}/dry-runs/{run}. One named page has a PageEvent: the worker reads an engine and answers under /v2/workers/{id}/pages/{run}. One named check has a CheckEvent: the worker examines itself and answers under /v2/workers/{id}/checks/{run}. Events of other names are to be ignored. A comment is sent every 15 s. A second stream of the same worker ends the first."
)

var (
	errReplaced = errors.New("the worker opened another stream")
	errRemoved  = errors.New("the worker was removed")
)

type watchInput struct {
	ID         int64  `path:"id" minimum:"1" doc:"Worker id"`
	Generation int64  `query:"generation" default:"-1" minimum:"-1" doc:"Generation that the worker has; -1 for none"`
	Document   string `query:"document" maxLength:"128" doc:"SHA-256 of the document that the worker has under that generation, in hexadecimal digits; absent if it does not know it"`
	Credential string `header:"Authorization" hidden:"true"`
}

func (a *API) watch(ctx context.Context, in *watchInput) (*huma.StreamResponse, error) {
	if inbound.Reserved(ctx) {
		return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: inbound.ErrFull.Error()}
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		if err := a.stream(w, r, in.ID, held{generation: in.Generation, document: in.Document}); err != nil {
			a.logger.Debug("watch stream ended", "worker_id", in.ID, "reason", err)
		}
	}}, nil
}

// held is the mapping that a worker has.
type held struct {
	generation int64
	document   string // its digest, "" if the worker does not say it
	sure       bool   // this process has compared the document or sent it
}

// is reports whether a worker has g. The effective document of an overlay is another one under a server with another built-in document,
// so a worker that says only the number, as older ones do, gets it again: it compares the documents itself.
func (h held) is(g Generation) bool {
	switch {
	case h.generation != g.Number:
		return false
	case h.sure, g.Default:
		return true
	case h.document != "":
		return h.document == mapping.Digest(g.Effective)
	default:
		return bytes.Equal(g.Effective, g.Document)
	}
}

// stream sends mapping events until the worker leaves, opens another stream or is removed, or the server stops.
func (a *API) stream(w http.ResponseWriter, r *http.Request, workerID int64, has held) error {
	ctx, events, done := a.streams.begin(r.Context(), workerID)
	defer done()
	changed, cancel := a.opts.Mapping.Subscribe()
	defer cancel()

	send, end := openEvents(w)
	defer end()
	if err := send(nil); err != nil {
		return err
	}
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	credential, _ := bearer(r)
	for {
		g := a.opts.Mapping.Current()
		if !has.is(g) {
			frame, err := a.streams.frame(g)
			if err != nil {
				return err
			}
			if err := send(frame); err != nil {
				return err
			}
		}
		has = held{generation: g.Number, sure: true}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.stopping:
			return errStopping
		case <-changed:
		case frame := <-events:
			if err := send(frame); err != nil {
				return err
			}
		case <-ping.C:
			// A worker that registers again gets a new credential. A stream with the old one must end.
			if !a.authorizer.authenticate(workerID, credential) {
				return errRemoved
			}
			if err := send([]byte(": ping\n\n")); err != nil {
				return err
			}
		}
	}
}

// streams holds the open watch streams, at most one for each worker, and the last mapping event, which they share. The zero value is ready
// to use.
type streams struct {
	mu     sync.Mutex
	byID   map[int64]*stream
	number int64
	last   []byte
}

type stream struct {
	cancel context.CancelCauseFunc
	events chan []byte // to send, besides mappings
}

// begin adds a stream and ends an older one of the same worker. The caller must call done.
func (s *streams) begin(ctx context.Context, workerID int64) (_ context.Context, events <-chan []byte, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	added := &stream{cancel, make(chan []byte, maxDryRuns+maxPages+maxWorkerChecks)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = make(map[int64]*stream)
	}
	if older := s.byID[workerID]; older != nil {
		older.cancel(errReplaced)
	}
	s.byID[workerID] = added
	return ctx, added.events, func() {
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.byID[workerID] == added {
			delete(s.byID, workerID)
		}
	}
}

// open returns the workers that have a stream.
func (s *streams) open() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.byID))
}

// send queues an event on the streams of these workers and returns how many have it. A worker that reads nothing, so that its queue is
// full, does not get it.
func (s *streams) send(workers []int64, frame []byte) (queued int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range workers {
		if st := s.byID[id]; st != nil {
			select {
			case st.events <- frame:
				queued++
			default:
			}
		}
	}
	return queued
}

// end ends a worker's stream.
func (s *streams) end(workerID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.byID[workerID]; st != nil {
		st.cancel(errRemoved)
	}
}

// frame returns the event for g.
func (s *streams) frame(g Generation) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && s.number == g.Number {
		return s.last, nil
	}
	ev := wire.MappingEvent{Generation: g.Number, Default: g.Default}
	if !g.Default {
		ev.Document = g.Effective
	}
	frame, err := eventFrame(fmt.Sprintf("id: %d\nevent: mapping", g.Number), ev)
	if err != nil {
		return nil, fmt.Errorf("mapping event of generation %d: %w", g.Number, err)
	}
	s.number, s.last = g.Number, frame
	return s.last, nil
}

// eventFrame returns an event with the given fields and v as data.
func eventFrame(fields string, v any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(fields)
	b.WriteString("\ndata: ")
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // escaped, a document could exceed the worker's limit
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
