package answer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// keepBytes bounds an answer that is kept for the next who ask while nobody reads it.
const keepBytes = 1 << 20

// SourceOptions configure a Source. Store, ContentType and Make are required.
type SourceOptions[V comparable] struct {
	Store       *Store
	ContentType string
	// Compress says that the answer is compressed for whoever accepts it.
	Compress bool
	// Current returns what the answer is made from. The answer holds for as long as that is the same. Nil: an answer holds for
	// those alone who asked before it was begun.
	Current func() V
	// Make writes the answer. One is made at a time.
	Make func(from V, w io.Writer) error
	// Tag returns the answer's ETag; nil or empty: it has none.
	Tag func(from V) string
}

// Source makes the answers of a route.
type Source[V comparable] struct {
	o SourceOptions[V]

	mu     sync.Mutex
	newest *Answer
	from   V
	kept   bool // newest has a reference of ours
	next   *flight
	busy   bool
}

// flight is an answer that will be made for those who wait for it.
type flight struct {
	waiting int
	landed  bool
	done    chan struct{}
	answer  *Answer
	err     error
}

// NewSource makes a Source.
func NewSource[V comparable](o SourceOptions[V]) *Source[V] { return &Source[V]{o: o} }

// ServeHTTP answers r with an encoding that it shares with others.
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
		if matches(r.Header.Values("If-None-Match"), a.tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if s.o.Compress && WantsGzip(r.Header) {
		if zip, err := a.compressed(); err == nil {
			w.Header().Set("Content-Encoding", "gzip")
			body = zip
		}
	}
	a.send(w, body)
}

// compressed returns the compressed form, which the first one who wants it makes.
func (a *Answer) compressed() (*pieces, error) {
	a.zipping.Lock()
	defer a.zipping.Unlock()
	if a.zip.size > 0 {
		return &a.zip, nil
	}
	if err := compress(&a.zip, a.plain.WriteTo); err != nil {
		a.zip.free()
		return nil, err
	}
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	a.store.grow(a, int64(a.zip.size))
	return &a.zip, nil
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
	if a := s.newest; a != nil && s.o.Current != nil && from == s.from && a.hold() {
		s.mu.Unlock()
		return a, nil
	}
	// One that is being made may miss what the caller knows to have changed; the next one will not.
	f := s.next
	if f == nil {
		f = &flight{done: make(chan struct{})}
		s.next = f
	}
	f.waiting++
	if !s.busy {
		s.busy = true
		go s.run()
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.answer, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	landed := f.landed
	if !landed {
		f.waiting--
	}
	s.mu.Unlock()
	if landed && f.err == nil {
		f.answer.Release()
	}
	return nil, ctx.Err()
}

// recent returns the newest answer if slow readers hold so much that it is to be shared for a while.
func (s *Source[V]) recent() *Answer {
	if !s.o.Store.pressed() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.newest; a != nil && time.Since(a.made) < sharedTime && a.hold() {
		return a
	}
	return nil
}

// run makes answers until nobody waits for one.
func (s *Source[V]) run() {
	for {
		s.mu.Lock()
		f := s.next
		if s.next = nil; f == nil {
			s.busy = false
			s.mu.Unlock()
			return
		}
		wanted := f.waiting > 0
		s.mu.Unlock()
		if wanted {
			s.fly(f)
		}
	}
}

func (s *Source[V]) fly(f *flight) {
	var from V
	if s.o.Current != nil {
		from = s.o.Current()
		s.mu.Lock()
		if a := s.newest; a != nil && from == s.from && a.hold() { // made for the flight before
			s.land(f, a, nil)
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
		s.land(f, nil, err)
		return
	}
	if s.kept {
		s.newest.Release()
	}
	s.newest, s.from, s.kept = a, from, s.o.Current != nil && a.plain.size <= keepBytes
	refs := 1 // ours, until all have theirs
	if s.kept {
		refs++
	}
	s.o.Store.add(a, refs)
	s.land(f, a, nil)
	a.Release()
}

// land gives all who wait for f its answer. The caller has a reference of its own meanwhile. Those who wait have theirs before they
// are told, as they may give them back at once. s.mu is held.
func (s *Source[V]) land(f *flight, a *Answer, err error) {
	if a != nil {
		s.o.Store.share(a, f.waiting)
	}
	f.landed, f.answer, f.err = true, a, err
	close(f.done)
}

func (s *Source[V]) make(from V) (a *Answer, err error) {
	a = &Answer{contentType: s.o.ContentType, made: time.Now()}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errNothing, p)
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

// share adds references for n more readers.
func (s *Store) share(a *Answer, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.refs += n
}
