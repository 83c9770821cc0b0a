package prom

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/prom/budget"
)

// requestGrace is how much longer than the query timeout a request may take.
const requestGrace = 10 * time.Second

// maxRequestBytes bounds the body of a request: an expression of guard.MaxBytes takes three times as much in a form.
const maxRequestBytes = 1 << 20

// inflightRequests counts the requests that use the storage, so that the storage is closed after the last of them.
type inflightRequests struct {
	timeout time.Duration   // of one request
	ctx     context.Context // ends when running requests are to be cancelled
	cancel  context.CancelFunc

	mu     sync.Mutex
	active int
	closed bool
	idle   chan struct{} // closed once draining and no request is active
}

func newInflightRequests(limit time.Duration) *inflightRequests {
	ctx, cancel := context.WithCancel(context.Background())
	return &inflightRequests{timeout: limit, ctx: ctx, cancel: cancel, idle: make(chan struct{})}
}

func (i *inflightRequests) begin() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return false
	}
	i.active++
	return true
}

func (i *inflightRequests) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.active--; i.active == 0 && i.closed {
		close(i.idle)
	}
}

// stopping reports whether drain has been called.
func (i *inflightRequests) stopping() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.closed
}

// drain refuses new requests, cancels active ones after grace, and returns when all have ended.
func (i *inflightRequests) drain(grace time.Duration) {
	i.mu.Lock()
	i.closed = true
	if i.active == 0 {
		close(i.idle)
	}
	i.mu.Unlock()
	timer := time.AfterFunc(grace, i.cancel)
	<-i.idle
	timer.Stop()
	i.cancel()
}

// serve serves a request after begin. It bounds the request's time and size and cancels it at the end of drain's grace.
func (i *inflightRequests) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	defer i.end()
	ctx, cancel := context.WithTimeout(r.Context(), i.timeout)
	defer cancel()
	defer context.AfterFunc(i.ctx, cancel)() //nolint:contextcheck // joins two contexts
	r = r.WithContext(budget.WithPeer(ctx, r.RemoteAddr))
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBytes)
	next.ServeHTTP(w, r)
}
