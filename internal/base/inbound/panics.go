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

// panicLogInterval is the shortest time between two log lines about panics.
const panicLogInterval = time.Second

// panicLog recovers and logs the panics of handlers. net/http would close the connection and log the cause at debug level only.
type panicLog struct {
	logger *slog.Logger

	mu       sync.Mutex
	last     time.Time
	unlogged int // since last
	logged   bool
}

// serve calls next. If next panics, the client gets 500, or, if a part of the answer has been written, a closed connection, so that it
// does not take that part for the whole.
func (l *panicLog) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	started := &startedWriter{ResponseWriter: w, rc: http.NewResponseController(w)}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares in the same way
			panic(v)
		}
		l.log(r, v, debug.Stack())
		if started.started {
			panic(http.ErrAbortHandler)
		}
		connection := w.Header().Values("Connection")
		clear(w.Header())
		if len(connection) > 0 {
			w.Header()["Connection"] = connection
		}
		_ = httpjson.WriteProblem(w, httpjson.Problem{ // fails only if the client has gone
			Status: http.StatusInternalServerError, Detail: "stackscope could not answer this request because of a bug; its log says which one",
		})
	}()
	next.ServeHTTP(started, r)
}

func (l *panicLog) log(r *http.Request, v any, stack []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); !l.logged || now.Sub(l.last) >= panicLogInterval {
		l.logger.Error("a request could not be answered because of a bug in this program; please report it", "method", r.Method, "path", r.URL.Path,
			"error", fmt.Sprint(v), "more_since_the_last", l.unlogged, "stack", string(stack))
		l.last, l.unlogged, l.logged = now, 0, true
		return
	}
	l.unlogged++
}

// startedWriter records whether an answer has started. Handlers write from one goroutine at a time.
type startedWriter struct {
	http.ResponseWriter
	rc      *http.ResponseController
	started bool
}

// Unwrap lets an http.ResponseController find the deadlines.
func (w *startedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *startedWriter) WriteHeader(status int) {
	w.started = w.started || status >= http.StatusOK || status == http.StatusSwitchingProtocols
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *startedWriter) Write(p []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(p)
}

// ReadFrom keeps sendfile possible.
func (w *startedWriter) ReadFrom(r io.Reader) (int64, error) {
	w.started = true
	return io.Copy(w.ResponseWriter, r)
}

// Flush implements http.Flusher.
func (w *startedWriter) Flush() { _ = w.FlushError() }

// FlushError is the method that http.ResponseController prefers.
func (w *startedWriter) FlushError() error {
	w.started = true
	return w.rc.Flush()
}

// Hijack implements http.Hijacker.
func (w *startedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.started = true
	return w.rc.Hijack()
}
