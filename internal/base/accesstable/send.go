package accesstable

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// Fill returns a path that a route's pattern matches: /a/{id} becomes /a/7 with the parameter id=7. A parameter without a value becomes
// x. A pattern that ends with a slash gets an x behind it.
func Fill(path string, parameters map[string]string) string {
	if strings.HasSuffix(path, "/") {
		return path + "x"
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		name, ok := strings.CutPrefix(part, "{")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		switch value, known := parameters[name]; {
		case name == "$":
			parts[i] = ""
		case known:
			parts[i] = value
		default:
			parts[i] = "x"
		}
	}
	return strings.Join(parts, "/")
}

// Send sends a request to a handler and returns the result. It reads only the status of the response.
func Send(h http.Handler, r *http.Request) (result string, status int) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w := &statusOnly{header: http.Header{}, cancel: cancel}
	func() {
		defer func() {
			if e := recover(); e != nil && e != http.ErrAbortHandler { //nolint:errorlint // net/http panics with the plain value
				panic(e)
			}
		}()
		h.ServeHTTP(w, r.WithContext(ctx))
	}()
	w.WriteHeader(http.StatusOK)
	return Result(w.status), w.status
}

// Result converts an HTTP status: a status that says that the client may not use the route, or that the route is not served, is returned
// as it is. Every other status is Yes.
func Result(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusTooManyRequests,
		http.StatusNotImplemented, http.StatusServiceUnavailable:
		return fmt.Sprint(status)
	}
	return Yes
}

// statusOnly is a ResponseWriter that cancels the request once its status is known, because event streams never end.
type statusOnly struct {
	header http.Header
	cancel func()
	mu     sync.Mutex
	status int
}

func (w *statusOnly) Header() http.Header { return w.header }
func (w *statusOnly) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(p), nil
}

func (w *statusOnly) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.status = status
		w.cancel()
	}
}

// Flush implements http.Flusher.
func (w *statusOnly) Flush() { w.WriteHeader(http.StatusOK) }
