package answer

import (
	"net/http"
	"time"
)

// maxWholeBytes bounds what Whole keeps of an answer before it sends it while it is made.
const maxWholeBytes = 16 << 20

// Passing says what becomes of an answer that is sent while it is made: its handler holds what others may wait for.
type Passing struct {
	// Follow returns the request that the handler gets, and what tells whether others wait for what its handler holds. A client that
	// reads slowly is then cut off. Nil: nobody waits.
	Follow func(*http.Request) (*http.Request, func() bool)
	// Cut is called for each client that is cut off.
	Cut func()
}

// Whole lets next make whole answers, which the store then holds while they are read: next is done, and has given back what it used,
// however slowly the client reads. A very large answer is sent as it is made.
func (s *Store) Whole(next http.Handler, p Passing) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		if p.Follow != nil {
			r, rec.pace.wanted = p.Follow(r)
		}
		defer rec.body.free()
		defer rec.pace.end()
		next.ServeHTTP(rec, r)
		if rec.passing {
			if rec.pace.end() {
				if p.Cut != nil {
					p.Cut()
				}
				panic(http.ErrAbortHandler) // or the client would take what it has for the whole
			}
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
	pace    pace // of the client, while passing
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
		return r.pace.Write(p)
	}
	r.WriteHeader(http.StatusOK)
	if r.body.size+len(p) <= maxWholeBytes {
		return r.body.Write(p)
	}
	r.passing = true
	r.ResponseWriter.WriteHeader(r.status)
	r.pace.begin(r.ResponseWriter)
	_, err := r.body.WriteTo(&r.pace)
	r.body.free()
	if err != nil {
		return 0, err
	}
	return r.pace.Write(p)
}

// Flush does what FlushError does.
func (r *recorder) Flush() { _ = r.FlushError() }

// FlushError does nothing before the answer is too large to be kept.
func (r *recorder) FlushError() error {
	if r.passing {
		return r.pace.flush()
	}
	return nil
}
