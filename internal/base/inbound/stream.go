package inbound

import (
	"net/http"
	"sync"
	"time"
)

// stream is the answer to an HTTP/2 request. A client can stop reading one answer while it reads others of the same connection, so each
// has the write deadlines of conn.
type stream struct {
	http.ResponseWriter
	rc *http.ResponseController

	mu              sync.Mutex
	timer           *time.Timer
	writing         bool
	wrote           bool
	handlerDeadline bool // the handler has set the write deadline
	finished        bool
}

func newStream(w http.ResponseWriter) *stream {
	return &stream{ResponseWriter: w, rc: http.NewResponseController(w)}
}

// Unwrap is for http.ResponseController.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write writes p in pieces.
func (s *stream) Write(p []byte) (n int, err error) {
	for {
		piece := p[n:min(n+pieceBytes, len(p))]
		s.arm()
		written, err := s.ResponseWriter.Write(piece)
		s.disarm()
		n += written
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// Flush implements http.Flusher.
func (s *stream) Flush() { _ = s.FlushError() }

// FlushError is the method that http.ResponseController prefers.
func (s *stream) FlushError() error {
	s.arm()
	defer s.disarm()
	return s.rc.Flush()
}

// SetWriteDeadline sets the handler's deadline. The zero time restores the deadline for each piece.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlerDeadline = !t.IsZero()
	return s.rc.SetWriteDeadline(t)
}

func (s *stream) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing, s.wrote = true, true
	switch {
	case s.handlerDeadline:
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
	if s.writing && !s.finished && !s.handlerDeadline {
		_ = s.rc.SetWriteDeadline(time.Now().Add(-time.Second))
	}
}

// end sets a deadline for the data that the server has yet to send.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.wrote && !s.handlerDeadline {
		_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
}
