package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/wire"
)

const (
	// maxChangeStreams bounds the open streams of changes.
	maxChangeStreams = 256
	// changeInterval is the least time between two events of a stream.
	changeInterval = time.Second
	// changeRetry is the Retry-After where no stream is free.
	changeRetry = 10 * time.Second

	changesDescription = "Server-sent events. One named changed, with a ChangedEvent as data, is sent at once and after each change of the lists of clusters, workers, models and model instances, at most one a second. A comment is sent every 15 s. At most 256 streams are open; others get 503 with Retry-After and read the lists again in that time."
)

func (a *API) registerChanges(h huma.API, tag string) {
	register(a, h, route{
		id: "watch-inventory", method: "GET", path: "/v2/watch", access: viewer, tag: tag,
		summary: "Follow changes of the inventory", description: changesDescription, answer: eventsResponse("Events named changed; see ChangedEvent"),
		errors: []int{http.StatusServiceUnavailable},
	}, a.watchChanges)
}

func (a *API) watchChanges(ctx context.Context, _ *none) (*huma.StreamResponse, error) {
	full := &Problem{Status: http.StatusServiceUnavailable, Detail: "all streams of changes are taken: read the lists instead, every 10 s"}
	if inbound.Reserved(ctx) {
		full.Detail = inbound.ErrFull.Error()
		return nil, huma.ErrorWithHeaders(full, http.Header{"Retry-After": {seconds(changeRetry)}})
	}
	select {
	case a.readers <- struct{}{}:
	default:
		return nil, huma.ErrorWithHeaders(full, http.Header{"Retry-After": {seconds(changeRetry)}})
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { <-a.readers }()
		r, w := humago.Unwrap(hc)
		if err := a.sendChanges(w, r); err != nil {
			a.logger.Debug("stream of changes ended", "reason", err)
		}
	}}, nil
}

// sendChanges sends an event for each change until the client leaves or the server stops.
func (a *API) sendChanges(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	changed, cancel := a.opts.Inventory.Changed()
	defer cancel()
	send, end := openEvents(w)
	defer end()
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	next := time.NewTimer(0) // runs while the next event has to wait
	defer next.Stop()
	due, waiting := true, true
	for {
		if due && !waiting {
			frame, err := eventFrame("event: changed", wire.ChangedEvent{Tag: strings.Trim(snapshotTag(a.opts.Inventory.Snapshot()), `"`)})
			if err != nil {
				return err
			}
			if err := send(frame); err != nil {
				return err
			}
			due, waiting = false, true
			next.Reset(changeInterval)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.stopping:
			return errStopping
		case <-changed:
			due = true
		case <-next.C:
			waiting = false
		case <-ping.C:
			if err := send([]byte(": ping\n\n")); err != nil {
				return err
			}
		}
	}
}
