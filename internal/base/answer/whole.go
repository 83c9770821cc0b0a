package answer

import (
	"net/http"
	"time"
)

// maxWholeBytes bounds what Whole keeps of an answer before it sends it while it is made.
const maxWholeBytes = 16 << 20

// Whole lets next make whole answers, which the store then holds while they are read: next is done, and has given back what it used,
// however slowly the client reads. A very large answer is sent as it is made.
func (s *Store) Whole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		defer rec.body.free()
		next.ServeHTTP(rec, r)
		if rec.passing {
			return
		}
		a := &Answer{made: time.Now(), plain: rec.body, status: rec.status}
		rec.body = pieces{}
		s.add(a, 1)
		defer a.Release()
		a.send(w, &a.plain)
	})
}

// recorder keeps an answer.
type recorder struct {
	http.ResponseWriter
	body    pieces
	status  int
	passing bool // it was too large: it goes straight to the client
}

// Unwrap lets an http.ResponseController find the deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
}

// Write keeps p.
func (r *recorder) Write(p []byte) (int, error) {
	if r.passing {
		return r.ResponseWriter.Write(p)
	}
	r.WriteHeader(http.StatusOK)
	if r.body.size+len(p) <= maxWholeBytes {
		return r.body.Write(p)
	}
	r.passing = true
	r.ResponseWriter.WriteHeader(r.status)
	_, err := r.body.WriteTo(r.ResponseWriter)
	r.body.free()
	if err != nil {
		return 0, err
	}
	return r.ResponseWriter.Write(p)
}

// Flush does what FlushError does.
func (r *recorder) Flush() { _ = r.FlushError() }

// FlushError does nothing before the answer is too large to be kept.
func (r *recorder) FlushError() error {
	if r.passing {
		return http.NewResponseController(r.ResponseWriter).Flush()
	}
	return nil
}
