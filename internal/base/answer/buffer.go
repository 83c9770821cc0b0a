package answer

import (
	"net/http"
	"time"
)

// maxBufferedBytes is the size up to which Buffer keeps an answer before it sends it. A larger one is streamed.
const maxBufferedBytes = 16 << 20

// StreamOptions configure how Buffer streams an answer that is too large to be buffered. Its handler still holds resources meanwhile.
type StreamOptions struct {
	// Track returns the request that the handler gets, and a function that reports whether others wait for what this handler holds. If
	// others wait, a slow client is cut off. Nil: nobody waits.
	Track func(*http.Request) (*http.Request, func() bool)
	// OnAbort is called for each client that is cut off; nil: nothing is.
	OnAbort func()
}

// Buffer runs next to its end before it sends the answer. However slowly the client reads, next has returned and released its
// resources. An answer beyond 16 MiB is streamed instead.
func (s *Store) Buffer(next http.Handler, o StreamOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &bufferedWriter{ResponseWriter: w}
		if o.Track != nil {
			r, b.stream.othersWait = o.Track(r)
		}
		defer b.body.free()
		defer b.stream.stop()
		next.ServeHTTP(b, r)
		if b.streaming {
			if b.stream.stop() {
				if o.OnAbort != nil {
					o.OnAbort()
				}
				panic(http.ErrAbortHandler) // else the client would take the part that it has for the whole answer
			}
			return
		}
		a := &Answer{made: time.Now(), plain: b.body, status: b.status}
		b.body = pieces{}
		s.add(a, 1)
		defer a.Release()
		a.send(w, &a.plain)
	})
}

// bufferedWriter collects an answer, and streams it once it is too large.
type bufferedWriter struct {
	http.ResponseWriter
	body      pieces
	status    int
	streaming bool
	stream    streamWriter
}

// Unwrap lets an http.ResponseController find the deadlines.
func (b *bufferedWriter) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// WriteHeader notes the status.
func (b *bufferedWriter) WriteHeader(status int) {
	if b.status == 0 && status >= http.StatusOK {
		b.status = status
	}
}

// Write implements http.ResponseWriter.
func (b *bufferedWriter) Write(p []byte) (int, error) {
	if b.streaming {
		return b.stream.Write(p)
	}
	b.WriteHeader(http.StatusOK)
	if b.body.size+len(p) <= maxBufferedBytes {
		return b.body.Write(p)
	}
	b.streaming = true
	b.ResponseWriter.WriteHeader(b.status)
	b.stream.start(b.ResponseWriter)
	_, err := b.body.WriteTo(&b.stream)
	b.body.free()
	if err != nil {
		return 0, err
	}
	return b.stream.Write(p)
}

// Flush implements http.Flusher.
func (b *bufferedWriter) Flush() { _ = b.FlushError() }

// FlushError does nothing while the answer is buffered.
func (b *bufferedWriter) FlushError() error {
	if b.streaming {
		return b.stream.flush()
	}
	return nil
}
