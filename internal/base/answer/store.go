// Package answer shares one encoding of an HTTP answer between all clients that request it at the same time. A client that reads slowly
// holds only its connection and a reference. The memory of all encodings is bounded.
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
	// MaxBytes bounds the answers in memory, except for the newest one. Beyond it the readers of the oldest answers are cut off.
	MaxBytes int64
	// MaxReaders bounds the clients that are being answered. Beyond it the client that has stalled longest is cut off, if that is at
	// least StallTime.
	MaxReaders int
	// Refuse answers a request that cannot be served now, with Retry-After set; nil: in plain text.
	Refuse func(w http.ResponseWriter, why string)
}

const (
	// StallTime is how long a client may read nothing before it can lose its place to another one.
	StallTime = time.Second
	// maxSharedAge is how old an answer may be that is sent again while slow readers hold much of the store.
	maxSharedAge = time.Second
	retryAfter   = "1"
)

// Store holds answers while they are read.
type Store struct {
	o Options

	mu        sync.Mutex
	live      []*Answer // oldest first
	liveBytes int64     // of answers that are not evicted
	readers   map[*reader]struct{}
}

// NewStore makes a Store.
func NewStore(o Options) *Store {
	if o.Refuse == nil {
		o.Refuse = func(w http.ResponseWriter, why string) { http.Error(w, why, http.StatusServiceUnavailable) }
	}
	return &Store{o: o, readers: make(map[*reader]struct{})}
}

// Answer is an encoded answer with a count of its readers. Each of them must release it once.
type Answer struct {
	store       *Store
	contentType string // empty: the handler has set it
	status      int    // 0: 200
	made        time.Time
	plain       pieces // empty: only the compressed form is there
	tag         string

	gzipMu  sync.Mutex
	gzipped pieces

	// Guarded by store.mu.
	refs    int
	size    int64
	evicted bool
}

// add stores an answer and evicts older ones beyond MaxBytes.
func (s *Store) add(a *Answer, refs int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.store, a.refs = s, refs
	s.live = append(s.live, a)
	s.grow(a, int64(a.plain.size+a.gzipped.size))
}

func (s *Store) grow(a *Answer, n int64) {
	if !a.evicted {
		s.liveBytes += n
	}
	a.size += n
	for _, old := range s.live {
		if s.liveBytes <= s.o.MaxBytes || old == s.live[len(s.live)-1] {
			return
		}
		s.evict(old)
	}
}

func (s *Store) evict(a *Answer) {
	if a.evicted {
		return
	}
	a.evicted = true
	s.liveBytes -= a.size
	for r := range s.readers {
		if r.answer == a {
			r.abort()
		}
	}
}

// underPressure reports whether slow readers hold so much that later requests should get an existing answer, too.
func (s *Store) underPressure() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.liveBytes > s.o.MaxBytes/2 || len(s.readers) > s.o.MaxReaders/2
}

// acquire adds a reference, unless the answer is freed or evicted.
func (a *Answer) acquire() bool {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if a.refs == 0 || a.evicted {
		return false
	}
	a.refs++
	return true
}

// Release drops a reference. The last one frees the memory.
func (a *Answer) Release() {
	if a.store.unref(a) {
		a.plain.free()
		a.gzipped.free()
	}
}

// unref drops a reference and reports whether it was the last one.
func (s *Store) unref(a *Answer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.refs--; a.refs != 0 {
		return false
	}
	if !a.evicted {
		s.liveBytes -= a.size
	}
	s.live = slices.DeleteFunc(s.live, func(other *Answer) bool { return other == a })
	return true
}

// addRefs adds references for n more readers.
func (s *Store) addRefs(a *Answer, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.refs += n
}

// reader is a client that is being answered.
type reader struct {
	answer    *Answer
	lastWrite atomic.Pointer[time.Time] // when the client last read a piece
	aborted   atomic.Bool

	mu       sync.Mutex
	rc       *http.ResponseController
	finished bool
}

// abort ends the answer, even while a write blocks.
func (r *reader) abort() {
	r.aborted.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.finished {
		_ = r.rc.SetWriteDeadline(time.Now().Add(-time.Second)) // a recorder in a test has none
	}
}

func (s *Store) begin(a *Answer, w http.ResponseWriter) (*reader, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.readers) >= s.o.MaxReaders {
		var stalled *reader
		for r := range s.readers {
			if stalled == nil || r.lastWrite.Load().Before(*stalled.lastWrite.Load()) {
				stalled = r
			}
		}
		if stalled == nil || now.Sub(*stalled.lastWrite.Load()) < StallTime {
			return nil, false
		}
		delete(s.readers, stalled)
		stalled.abort()
	}
	if a.evicted {
		return nil, false
	}
	r := &reader{answer: a, rc: http.NewResponseController(w)}
	r.lastWrite.Store(&now)
	s.readers[r] = struct{}{}
	return r, true
}

func (s *Store) end(r *reader) {
	r.mu.Lock()
	r.finished = true
	r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, r)
}

// Send sends an answer of Encode.
func (a *Answer) Send(w http.ResponseWriter) {
	w.Header().Set("Vary", "Accept-Encoding")
	body := &a.plain
	if a.gzipped.size > 0 {
		body = &a.gzipped
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
		if rd.aborted.Load() {
			return // net/http closes the connection because the answer is shorter than its Content-Length
		}
		if _, err := w.Write(*piece); err != nil {
			return
		}
		now := time.Now()
		rd.lastWrite.Store(&now)
	}
}

// Encode makes an answer of a page for one client, compressed if the client accepts gzip. The page may be reused afterwards.
func (s *Store) Encode(r *http.Request, contentType string, page io.WriterTo) (*Answer, error) {
	a := &Answer{contentType: contentType, made: time.Now()}
	var err error
	if WantsGzip(r.Header) {
		err = compress(&a.gzipped, page.WriteTo)
	} else {
		_, err = page.WriteTo(&a.plain)
	}
	if err != nil {
		a.plain.free()
		a.gzipped.free()
		return nil, err
	}
	s.add(a, 1)
	return a, nil
}

var errNotMade = errors.New("the answer could not be made")

// Matches reports whether the values of If-None-Match list the tag. It ignores the weak prefix W/, which compressing proxies add.
func Matches(list []string, tag string) bool {
	for _, tags := range list {
		for t := range strings.SplitSeq(tags, ",") {
			if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
				return true
			}
		}
	}
	return false
}
