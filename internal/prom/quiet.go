package prom

import (
	"bytes"
	"net/http"

	"github.com/prometheus/prometheus/util/httputil"

	"github.com/stackscope/stackscope/internal/base/paths"
)

// quiet hides the data directory in errors of a handler from those who may not know where it lies: the TSDB's errors name files.
func quiet(hidden *paths.Hidden, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if paths.MaySee(r.Context()) {
			next.ServeHTTP(w, r)
			return
		}
		q := &quietWriter{ResponseWriter: w}
		next.ServeHTTP(q, r)
		q.finish(hidden)
	})
}

// quietAPI does so for the API, whose own handlers compress. What streams is not compressed.
func quietAPI(hidden *paths.Hidden, next http.Handler) http.Handler {
	readable := quiet(hidden, next)
	compressed := httputil.CompressionHandler{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain := new(*r)
		plain.Header = r.Header.Clone()
		plain.Header.Del("Accept-Encoding")
		readable.ServeHTTP(w, plain)
	})}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case paths.MaySee(r.Context()):
			next.ServeHTTP(w, r)
		case r.URL.Path == "/read", r.URL.Path == "/notifications/live":
			readable.ServeHTTP(w, r)
		default:
			compressed.ServeHTTP(w, r)
		}
	})
}

// quietWriter keeps the bodies of errors.
type quietWriter struct {
	http.ResponseWriter
	status int // of an error
	body   bytes.Buffer
}

func (q *quietWriter) WriteHeader(status int) {
	switch {
	case q.status != 0:
	case status >= http.StatusBadRequest:
		q.status = status
	default:
		q.ResponseWriter.WriteHeader(status)
	}
}

func (q *quietWriter) Write(p []byte) (int, error) {
	if q.status == 0 {
		return q.ResponseWriter.Write(p)
	}
	return q.body.Write(p)
}

// Flush implements http.Flusher.
func (q *quietWriter) Flush() {
	if q.status == 0 {
		_ = http.NewResponseController(q.ResponseWriter).Flush() // what isn't passed on now is passed on later
	}
}

// Unwrap is for http.ResponseController.
func (q *quietWriter) Unwrap() http.ResponseWriter { return q.ResponseWriter }

func (q *quietWriter) finish(hidden *paths.Hidden) {
	if q.status == 0 {
		return
	}
	q.Header().Del("Content-Length")
	q.ResponseWriter.WriteHeader(q.status)
	_, _ = q.ResponseWriter.Write([]byte(hidden.Name(q.body.String())))
}
