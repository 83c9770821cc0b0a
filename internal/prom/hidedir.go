package prom

import (
	"bytes"
	"net/http"

	"github.com/prometheus/prometheus/util/httputil"

	"github.com/stackscope/stackscope/internal/base/paths"
)

// hideDataDir replaces the path of the data directory in a handler's error responses, unless the client may see it. The TSDB's errors
// contain file names.
func hideDataDir(hidden *paths.Hidden, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if paths.MaySee(r.Context()) {
			next.ServeHTTP(w, r)
			return
		}
		q := &errorBodyWriter{ResponseWriter: w}
		next.ServeHTTP(q, r)
		q.finish(hidden)
	})
}

// hideDataDirInAPI is hideDataDir for the API. The API's own handlers compress, so the request is handled without compression and the
// response is compressed afterwards, unless it is a stream.
func hideDataDirInAPI(hidden *paths.Hidden, next http.Handler) http.Handler {
	hiding := hideDataDir(hidden, next)
	compressed := httputil.CompressionHandler{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain := new(*r)
		plain.Header = r.Header.Clone()
		plain.Header.Del("Accept-Encoding")
		hiding.ServeHTTP(w, plain)
	})}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case paths.MaySee(r.Context()):
			next.ServeHTTP(w, r)
		case r.URL.Path == "/read", r.URL.Path == "/notifications/live":
			hiding.ServeHTTP(w, r)
		default:
			compressed.ServeHTTP(w, r)
		}
	})
}

// errorBodyWriter buffers the bodies of error responses.
type errorBodyWriter struct {
	http.ResponseWriter
	status int // of an error
	body   bytes.Buffer
}

func (q *errorBodyWriter) WriteHeader(status int) {
	switch {
	case q.status != 0:
	case status >= http.StatusBadRequest:
		q.status = status
	default:
		q.ResponseWriter.WriteHeader(status)
	}
}

func (q *errorBodyWriter) Write(p []byte) (int, error) {
	if q.status == 0 {
		return q.ResponseWriter.Write(p)
	}
	return q.body.Write(p)
}

// Flush implements http.Flusher.
func (q *errorBodyWriter) Flush() {
	if q.status == 0 {
		_ = http.NewResponseController(q.ResponseWriter).Flush() // unflushed data is sent later
	}
}

// Unwrap is for http.ResponseController.
func (q *errorBodyWriter) Unwrap() http.ResponseWriter { return q.ResponseWriter }

func (q *errorBodyWriter) finish(hidden *paths.Hidden) {
	if q.status == 0 {
		return
	}
	q.Header().Del("Content-Length")
	q.ResponseWriter.WriteHeader(q.status)
	_, _ = q.ResponseWriter.Write([]byte(hidden.Name(q.body.String())))
}
