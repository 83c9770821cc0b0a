package inbound

import (
	"net/http"
	"sync"
	"time"
)

// stream is the answer to a request over HTTP/2, where a client can stop taking one answer while it takes the connection's other
// ones. It has the deadlines that conn has.
type stream struct {
	http.ResponseWriter
	rc *http.ResponseController

	mu      sync.Mutex
	timer   *time.Timer
	writing bool
	wrote   bool
	theirs  bool // the deadline is the handler's
	over    bool
}

func newStream(w http.ResponseWriter) *stream {
	return &stream{ResponseWriter: w, rc: http.NewResponseController(w)}
}

// Unwrap lets an http.ResponseController find the rest.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write writes p in pieces.
func (s *stream) Write(p []byte) (n int, err error) {
	for {
		piece := p[n:min(n+pieceBytes, len(p))]
		s.arm()
		wrote, err := s.ResponseWriter.Write(piece)
		s.disarm()
		n += wrote
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// Flush implements http.Flusher.
func (s *stream) Flush() { _ = s.FlushError() }

// FlushError is what an http.ResponseController looks for first.
func (s *stream) FlushError() error {
	s.arm()
	defer s.disarm()
	return s.rc.Flush()
}

// SetWriteDeadline sets a deadline that holds until the zero time brings ours back.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.theirs = !t.IsZero()
	return s.rc.SetWriteDeadline(t)
}

func (s *stream) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing, s.wrote = true, true
	switch {
	case s.theirs:
	case s.timer == nil:
		s.timer = time.AfterFunc(writeTimeout, s.expire)
	default:
		s.timer.Reset(writeTimeout)
	}
}

func (s *stream) disarm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if s.timer != nil {
		s.timer.Stop()
	}
}

func (s *stream) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing && !s.over && !s.theirs {
		_ = s.rc.SetWriteDeadline(time.Now().Add(-time.Second))
	}
}

// end leaves a deadline for what the server has yet to send.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.wrote && !s.theirs {
		_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
}
