package inbound

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/httpjson"
)

// faultInterval is how often a handler that panics is told of.
const faultInterval = time.Second

// faults are the panics of handlers. net/http would drop the connection and say why at debug level alone.
type faults struct {
	logger *slog.Logger

	mu      sync.Mutex
	last    time.Time
	passed  int // not told since
	hasLast bool
}

// answer lets next answer. What it panics with is logged, and is a 500 to the client when nothing has been written yet; else the
// connection ends, so that nobody takes half of an answer for the whole.
func (f *faults) answer(w http.ResponseWriter, r *http.Request, next http.Handler) {
	a := &watched{ResponseWriter: w, rc: http.NewResponseController(w)}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler { //nolint:errorlint // it is compared as net/http does
			panic(v)
		}
		f.tell(r, v, debug.Stack())
		if a.begun {
			panic(http.ErrAbortHandler)
		}
		connection := w.Header().Values("Connection")
		clear(w.Header())
		if len(connection) > 0 {
			w.Header()["Connection"] = connection
		}
		_ = httpjson.WriteProblem(w, httpjson.Problem{ // who has gone needs no answer
			Status: http.StatusInternalServerError, Detail: "a fault in stackscope kept this request from being answered; its log says which one",
		})
	}()
	next.ServeHTTP(a, r)
}

func (f *faults) tell(r *http.Request, v any, stack []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); !f.hasLast || now.Sub(f.last) >= faultInterval {
		f.logger.Error("a fault in this program kept a request from being answered; please report it", "method", r.Method, "path", r.URL.Path,
			"error", fmt.Sprint(v), "more_since_the_last", f.passed, "stack", string(stack))
		f.last, f.passed, f.hasLast = now, 0, true
		return
	}
	f.passed++
}

// watched notes whether an answer has begun. Handlers write from one goroutine at a time.
type watched struct {
	http.ResponseWriter
	rc    *http.ResponseController
	begun bool
}

// Unwrap lets an http.ResponseController find the rest.
func (a *watched) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *watched) WriteHeader(status int) {
	a.begun = a.begun || status >= http.StatusOK || status == http.StatusSwitchingProtocols
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *watched) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// ReadFrom lets the system copy files.
func (a *watched) ReadFrom(r io.Reader) (int64, error) {
	a.begun = true
	return io.Copy(a.ResponseWriter, r)
}

// Flush implements http.Flusher.
func (a *watched) Flush() { _ = a.FlushError() }

// FlushError is what an http.ResponseController looks for first.
func (a *watched) FlushError() error {
	a.begun = true
	return a.rc.Flush()
}

// Hijack implements http.Hijacker.
func (a *watched) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.begun = true
	return a.rc.Hijack()
}
