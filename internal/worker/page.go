package worker

import (
	"context"
	"errors"
	"time"

	"github.com/stackscope/stackscope/internal/exporter"
)

var errNotFoundNow = errors.New("this worker has no engine of that name now: it was not found since the worker was started, or has just ended")

// page implements session.PageFunc.
func (w *Worker) page(ctx context.Context, instance string, deadline time.Time) (exporter.InstancePage, string) {
	in := w.instances.Named(instance)
	if in == nil {
		return exporter.InstancePage{FetchedAt: time.Now(), Err: errNotFoundNow}, ""
	}
	return w.exporter.Page(ctx, in, deadline), in.PageURL()
}
