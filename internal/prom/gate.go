package prom

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/prom/budget"
)

// requestGrace is how much longer than a query's timeout a request may take, like a listing of label values.
const requestGrace = 10 * time.Second

// maxRequestBytes bounds the body of a request. The largest are expressions of guard.MaxBytes, three bytes each in a form.
const maxRequestBytes = 1 << 20

// gate counts the requests that use the storage, so that it is closed behind the last of them.
type gate struct {
	limit  time.Duration   // of one request
	ctx    context.Context // ends when what is still running is to be cancelled
	cancel context.CancelFunc

	mu     sync.Mutex
	inside int
	closed bool
	idle   chan struct{} // closed when the gate is and nobody is inside
}

func newGate(limit time.Duration) *gate {
	ctx, cancel := context.WithCancel(context.Background())
	return &gate{limit: limit, ctx: ctx, cancel: cancel, idle: make(chan struct{})}
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.closed {
		close(g.idle)
	}
}

// stopping tells whether the gate has been shut.
func (g *gate) stopping() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// shut lets nobody in any more, cancels after grace those who are still inside, and returns when they have left.
func (g *gate) shut(grace time.Duration) {
	g.mu.Lock()
	g.closed = true
	if g.inside == 0 {
		close(g.idle)
	}
	g.mu.Unlock()
	timer := time.AfterFunc(grace, g.cancel)
	<-g.idle
	timer.Stop()
	g.cancel()
}

// through runs next for one request that has entered: bounded in time and size, cancelled when the gate shuts.
func (g *gate) through(next http.Handler, w http.ResponseWriter, r *http.Request) {
	defer g.leave()
	ctx, cancel := context.WithTimeout(r.Context(), g.limit)
	defer cancel()
	defer context.AfterFunc(g.ctx, cancel)() //nolint:contextcheck // joins two contexts
	r = r.WithContext(budget.WithPeer(ctx, r.RemoteAddr))
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBytes)
	next.ServeHTTP(w, r)
}
