package answer

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// paceInterval is the time over which a client's speed is measured. A client is slow if it reads less than minBytesPerSecond while
	// the handler waits for it.
	paceInterval      = 2 * time.Second
	minBytesPerSecond = 1 << 20
)

var errSlow = errors.New("the client reads slowly while other requests wait for what its response holds")

// streamWriter sends an answer while it is made. It aborts the answer if its client is slow while other requests wait. The zero value
// is ready.
type streamWriter struct {
	othersWait func() bool // nil: nobody waits
	w          http.ResponseWriter
	rc         *http.ResponseController

	mu        sync.Mutex
	timer     *time.Timer   // nil: before start, and after stop
	began     time.Time     // of the current write; zero: none
	writeTime time.Duration // spent in writes, in the current interval
	written   int           // bytes, in the current interval
	aborted   bool
}

func (s *streamWriter) start(w http.ResponseWriter) {
	s.w, s.rc = w, http.NewResponseController(w)
	if s.othersWait != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.timer = time.AfterFunc(paceInterval, s.check)
	}
}

// stop reports whether the answer was aborted. It may be called again.
func (s *streamWriter) stop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	return s.aborted
}

// check aborts the answer if its client is slow and others wait. The time that the handler takes does not count.
func (s *streamWriter) check() {
	othersWait := s.othersWait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil {
		return
	}
	now := time.Now()
	if !s.began.IsZero() {
		s.writeTime += now.Sub(s.began)
		s.began = now
	}
	if othersWait && s.writeTime >= paceInterval/2 && s.written < int(s.writeTime.Seconds()*minBytesPerSecond) {
		s.aborted, s.timer = true, nil
		_ = s.rc.SetWriteDeadline(now.Add(-time.Second)) // a recorder in a test has none
		return
	}
	s.writeTime, s.written = 0, 0
	s.timer.Reset(paceInterval)
}

// Write writes b in pieces.
func (s *streamWriter) Write(b []byte) (n int, err error) {
	for {
		piece := b[n:min(n+pieceBytes, len(b))]
		if err := s.beginWrite(); err != nil {
			return n, err
		}
		wrote, err := s.w.Write(piece)
		s.endWrite(wrote)
		n += wrote
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

func (s *streamWriter) flush() error {
	if err := s.beginWrite(); err != nil {
		return err
	}
	defer s.endWrite(0)
	return s.rc.Flush()
}

func (s *streamWriter) beginWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aborted {
		return errSlow
	}
	s.began = time.Now()
	return nil
}

func (s *streamWriter) endWrite(wrote int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeTime += time.Since(s.began)
	s.began = time.Time{}
	s.written += wrote
}
