package accesstable

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// Fill returns a path that a route's pattern matches. Parameters are looked up by name; one that isn't there is x, as is what is
// below a pattern that ends with a slash.
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

// Ask sends a request to a handler and returns the verdict. It takes as much of the answer as the status.
func Ask(h http.Handler, r *http.Request) (verdict string, status int) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w := &statusOnly{header: http.Header{}, answered: cancel}
	func() {
		defer func() {
			if e := recover(); e != nil && e != http.ErrAbortHandler { //nolint:errorlint // it is thrown as it is
				panic(e)
			}
		}()
		h.ServeHTTP(w, r.WithContext(ctx))
	}()
	w.WriteHeader(http.StatusOK)
	return Verdict(w.status), w.status
}

// Verdict is what a status says about who asked.
func Verdict(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusTooManyRequests,
		http.StatusNotImplemented, http.StatusServiceUnavailable:
		return fmt.Sprint(status)
	}
	return Yes
}

// statusOnly is a ResponseWriter that ends the request once its status is known: some answers never end.
type statusOnly struct {
	header   http.Header
	answered func()
	mu       sync.Mutex
	status   int
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
		w.answered()
	}
}

// Flush implements http.Flusher.
func (w *statusOnly) Flush() { w.WriteHeader(http.StatusOK) }
