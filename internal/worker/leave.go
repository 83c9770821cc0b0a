package worker

import (
	"context"
	"net/http"
	"time"

	"github.com/stackscope/stackscope/internal/client"
)

// LeaveTime bounds how long a worker that ends takes to tell its server.
const LeaveTime = time.Second

// Left returns a channel that is closed when Run has told the server that the worker stops, or knows that it can't. A server
// in the same process stops after that.
func (w *Worker) Left() <-chan struct{} { return w.left }

// leave tells the server that the worker stops. It is the last report: the session with that credential has ended.
func (l *link) leave(ctx context.Context, own *client.Client, workerID int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), LeaveTime)
	defer cancel()
	req := l.w.report()
	req.Stopping = true
	if _, err := own.Report(ctx, workerID, req); err != nil {
		l.logger.Info("server is not told that this worker stops; it finds the worker silent", "error", err)
		return
	}
	l.logger.Info("server knows that this worker stops")
}

// contested reports whether a registration was refused because of another worker, which may end.
func contested(err error) bool { return statusOf(err) == http.StatusConflict }
