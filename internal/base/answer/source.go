package answer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxCachedBytes is the size up to which a Source keeps an answer that nobody reads for the next requests.
const maxCachedBytes = 1 << 20

// SourceOptions configure a Source. Store, ContentType and Make are required.
type SourceOptions[V comparable] struct {
	Store       *Store
	ContentType string
	// Compress says that clients that accept gzip get the answer compressed.
	Compress bool
	// Current returns the value that the answer is made from. The answer is valid until Current returns another value. Nil: an answer is
	// valid only for requests that arrived before Make was called.
	Current func() V
	// Make writes the answer. One is made at a time.
	Make func(from V, w io.Writer) error
	// Tag returns the answer's ETag; nil or empty: it has none.
	Tag func(from V) string
}

// Source makes the answers of a route. Concurrent requests share one.
type Source[V comparable] struct {
	o SourceOptions[V]

	mu      sync.Mutex
	newest  *Answer
	from    V
	cached  bool // the Source itself holds a reference to newest
	next    *sharedBuild
	running bool
}

// sharedBuild is an answer that will be made for all requests that wait for it.
type sharedBuild struct {
	waiting  int
	finished bool
	done     chan struct{}
	answer   *Answer
	err      error
}

// NewSource makes a Source.
func NewSource[V comparable](o SourceOptions[V]) *Source[V] { return &Source[V]{o: o} }

// ServeHTTP implements http.Handler.
func (s *Source[V]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := s.get(r.Context())
	if err != nil {
		if r.Context().Err() == nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		return
	}
	defer a.Release()
	body := &a.plain
	if s.o.Compress {
		w.Header().Set("Vary", "Accept-Encoding")
	}
	if a.tag != "" {
		w.Header().Set("ETag", a.tag)
		if Matches(r.Header.Values("If-None-Match"), a.tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if s.o.Compress && WantsGzip(r.Header) {
		if gzipped, err := a.compressed(); err == nil {
			w.Header().Set("Content-Encoding", "gzip")
			body = gzipped
		}
	}
	a.send(w, body)
}

// compressed returns the compressed form. The first request that wants it makes it.
func (a *Answer) compressed() (*pieces, error) {
	a.gzipMu.Lock()
	defer a.gzipMu.Unlock()
	if a.gzipped.size > 0 {
		return &a.gzipped, nil
	}
	if err := compress(&a.gzipped, a.plain.WriteTo); err != nil {
		a.gzipped.free()
		return nil, err
	}
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	a.store.grow(a, int64(a.gzipped.size))
	return &a.gzipped, nil
}

// get returns an answer that the caller must release.
func (s *Source[V]) get(ctx context.Context) (*Answer, error) {
	if a := s.recent(); a != nil {
		return a, nil
	}
	var from V
	if s.o.Current != nil {
		from = s.o.Current()
	}
	s.mu.Lock()
	if a := s.newest; a != nil && s.o.Current != nil && from == s.from && a.acquire() {
		s.mu.Unlock()
		return a, nil
	}
	// The build that is running may have started before a change that the caller knows of. The next build has not.
	b := s.next
	if b == nil {
		b = &sharedBuild{done: make(chan struct{})}
		s.next = b
	}
	b.waiting++
	if !s.running {
		s.running = true
		go s.run()
	}
	s.mu.Unlock()
	select {
	case <-b.done:
		return b.answer, b.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	finished := b.finished
	if !finished {
		b.waiting--
	}
	s.mu.Unlock()
	if finished && b.err == nil {
		b.answer.Release()
	}
	return nil, ctx.Err()
}

// recent returns the newest answer, even if it is outdated by up to a second, while slow readers hold much of the store.
func (s *Source[V]) recent() *Answer {
	if !s.o.Store.underPressure() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.newest; a != nil && time.Since(a.made) < maxSharedAge && a.acquire() {
		return a
	}
	return nil
}

// run makes answers until nobody waits for one.
func (s *Source[V]) run() {
	for {
		s.mu.Lock()
		b := s.next
		if s.next = nil; b == nil {
			s.running = false
			s.mu.Unlock()
			return
		}
		waiting := b.waiting > 0
		s.mu.Unlock()
		if waiting {
			s.build(b)
		}
	}
}

func (s *Source[V]) build(b *sharedBuild) {
	var from V
	if s.o.Current != nil {
		from = s.o.Current()
		s.mu.Lock()
		if a := s.newest; a != nil && from == s.from && a.acquire() { // the build before made it from the same value
			s.finish(b, a, nil)
			s.mu.Unlock()
			a.Release()
			return
		}
		s.mu.Unlock()
	}
	a, err := s.make(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.finish(b, nil, err)
		return
	}
	if s.cached {
		s.newest.Release()
	}
	s.newest, s.from, s.cached = a, from, s.o.Current != nil && a.plain.size <= maxCachedBytes
	refs := 1 // released below, once every waiting request has its own
	if s.cached {
		refs++
	}
	s.o.Store.add(a, refs)
	s.finish(b, a, nil)
	a.Release()
}

// finish gives the answer to all requests that wait for b. Each gets its reference before done is closed, because it may release it at
// once. The caller holds a reference meanwhile. s.mu is held.
func (s *Source[V]) finish(b *sharedBuild, a *Answer, err error) {
	if a != nil {
		s.o.Store.addRefs(a, b.waiting)
	}
	b.finished, b.answer, b.err = true, a, err
	close(b.done)
}

func (s *Source[V]) make(from V) (a *Answer, err error) {
	a = &Answer{contentType: s.o.ContentType, made: time.Now()}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errNotMade, p)
		}
		if err != nil {
			a.plain.free()
			a = nil
		}
	}()
	if s.o.Tag != nil {
		a.tag = s.o.Tag(from)
	}
	return a, s.o.Make(from, &a.plain)
}
