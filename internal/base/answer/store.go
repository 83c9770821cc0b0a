// Package answer sends one encoding of an answer to all who ask for it at the same time. A client that reads slowly or nothing
// holds its connection and a reference, and the encodings that are held have a bound in all.
package answer

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options bound a Store.
type Options struct {
	// MaxBytes bounds the answers that are held, but for the newest one. Beyond it those who read the oldest are cut off.
	MaxBytes int64
	// MaxReaders bounds those who are being answered. Beyond it the one who has taken nothing for longest is cut off, after
	// PatientTime.
	MaxReaders int
	// Refuse answers a request that can't be served now; nil: in plain text. Retry-After is set.
	Refuse func(w http.ResponseWriter, why string)
}

const (
	// PatientTime is how long a client may take nothing before others are more important.
	PatientTime = time.Second
	// sharedTime is how old an answer may be that is sent while slow readers hold much.
	sharedTime = time.Second
	retryAfter = "1"
)

// Store holds answers while they are read.
type Store struct {
	o Options

	mu      sync.Mutex
	alive   []*Answer // oldest first
	held    int64     // by those that are not given up
	readers map[*reader]struct{}
}

// NewStore makes a Store.
func NewStore(o Options) *Store {
	if o.Refuse == nil {
		o.Refuse = func(w http.ResponseWriter, why string) { http.Error(w, why, http.StatusServiceUnavailable) }
	}
	return &Store{o: o, readers: make(map[*reader]struct{})}
}

// Answer is one that may have several readers. It is released once by each that it was given to.
type Answer struct {
	store       *Store
	contentType string // empty: who made it has set it
	status      int    // 0: 200
	made        time.Time
	plain       pieces // empty: only the compressed form is there
	tag         string

	zipping sync.Mutex
	zip     pieces

	// Guarded by store.mu.
	refs    int
	size    int64
	givenUp bool
}

// add holds an answer and gives up older ones where that is too much.
func (s *Store) add(a *Answer, refs int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.store, a.refs = s, refs
	s.alive = append(s.alive, a)
	s.grow(a, int64(a.plain.size+a.zip.size))
}

func (s *Store) grow(a *Answer, n int64) {
	if !a.givenUp {
		s.held += n
	}
	a.size += n
	for _, old := range s.alive {
		if s.held <= s.o.MaxBytes || old == s.alive[len(s.alive)-1] {
			return
		}
		s.giveUp(old)
	}
}

func (s *Store) giveUp(a *Answer) {
	if a.givenUp {
		return
	}
	a.givenUp = true
	s.held -= a.size
	for r := range s.readers {
		if r.answer == a {
			r.cut()
		}
	}
}

// pressed reports whether slow readers hold so much that answers should be shared over time too.
func (s *Store) pressed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held > s.o.MaxBytes/2 || len(s.readers) > s.o.MaxReaders/2
}

// hold takes one more reference, if the answer is still there.
func (a *Answer) hold() bool {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if a.refs == 0 || a.givenUp {
		return false
	}
	a.refs++
	return true
}

// Release lets go of the answer. The last one gives its memory back.
func (a *Answer) Release() {
	if a.store.drop(a) {
		a.plain.free()
		a.zip.free()
	}
}

// drop takes a reference back and reports whether it was the last one.
func (s *Store) drop(a *Answer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.refs--; a.refs != 0 {
		return false
	}
	if !a.givenUp {
		s.held -= a.size
	}
	s.alive = slices.DeleteFunc(s.alive, func(other *Answer) bool { return other == a })
	return true
}

// reader is a client that is being answered.
type reader struct {
	answer *Answer
	took   atomic.Pointer[time.Time] // when the client last took a piece
	gone   atomic.Bool

	mu   sync.Mutex
	rc   *http.ResponseController
	over bool
}

// cut ends the answer, also while the client takes nothing of it.
func (r *reader) cut() {
	r.gone.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		_ = r.rc.SetWriteDeadline(time.Now().Add(-time.Second)) // a recorder in a test has none
	}
}

func (s *Store) begin(a *Answer, w http.ResponseWriter) (*reader, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.readers) >= s.o.MaxReaders {
		var longest *reader
		for r := range s.readers {
			if longest == nil || r.took.Load().Before(*longest.took.Load()) {
				longest = r
			}
		}
		if longest == nil || now.Sub(*longest.took.Load()) < PatientTime {
			return nil, false
		}
		delete(s.readers, longest)
		longest.cut()
	}
	if a.givenUp {
		return nil, false
	}
	r := &reader{answer: a, rc: http.NewResponseController(w)}
	r.took.Store(&now)
	s.readers[r] = struct{}{}
	return r, true
}

func (s *Store) end(r *reader) {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, r)
}

// Send answers with what Take made.
func (a *Answer) Send(w http.ResponseWriter) {
	w.Header().Set("Vary", "Accept-Encoding")
	body := &a.plain
	if a.zip.size > 0 {
		body = &a.zip
		w.Header().Set("Content-Encoding", "gzip")
	}
	a.send(w, body)
}

func (a *Answer) send(w http.ResponseWriter, body *pieces) {
	rd, ok := a.store.begin(a, w)
	if !ok {
		w.Header().Del("Content-Encoding")
		w.Header().Del("ETag")
		w.Header().Set("Retry-After", retryAfter)
		a.store.o.Refuse(w, "too many clients read their answers slowly: try again in a moment")
		return
	}
	defer a.store.end(rd)
	if a.contentType != "" {
		w.Header().Set("Content-Type", a.contentType)
	}
	if body.size > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(body.size))
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	for _, piece := range body.list {
		if rd.gone.Load() {
			return // net/http closes the connection, as the answer is shorter than was said
		}
		if _, err := w.Write(*piece); err != nil {
			return
		}
		now := time.Now()
		rd.took.Store(&now)
	}
}

// Take makes an answer for one reader of what page writes, compressed if the client accepts it. The page is not needed any more
// when it returns.
func (s *Store) Take(r *http.Request, contentType string, page io.WriterTo) (*Answer, error) {
	a := &Answer{contentType: contentType, made: time.Now()}
	var err error
	if WantsGzip(r.Header) {
		err = compress(&a.zip, page.WriteTo)
	} else {
		_, err = page.WriteTo(&a.plain)
	}
	if err != nil {
		a.plain.free()
		a.zip.free()
		return nil, err
	}
	s.add(a, 1)
	return a, nil
}

var errNothing = errors.New("the answer could not be made")

// matches reports whether one of the tags of If-None-Match is the answer's; proxies that compress make them weak.
func matches(list []string, tag string) bool {
	for _, tags := range list {
		for t := range strings.SplitSeq(tags, ",") {
			if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
				return true
			}
		}
	}
	return false
}
