package answer

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// paceTime is the time over which a client's speed is measured, and paceBytes what one that is not slow takes in each second in
	// which it is waited for.
	paceTime  = 2 * time.Second
	paceBytes = 1 << 20
)

var errSlow = errors.New("the client reads slowly while others wait for what its answer holds")

// pace sends an answer while it is made, and cuts its client off where that is slow while others wait. The zero value is ready.
type pace struct {
	wanted func() bool // nil: nobody waits
	w      http.ResponseWriter
	rc     *http.ResponseController

	mu    sync.Mutex
	timer *time.Timer // nil: before begin, and after end
	since time.Time   // when the write that is under way was begun; zero: none is
	spent time.Duration
	taken int
	cut   bool
}

func (p *pace) begin(w http.ResponseWriter) {
	p.w, p.rc = w, http.NewResponseController(w)
	if p.wanted != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.timer = time.AfterFunc(paceTime, p.look)
	}
}

// end reports whether the client was cut off. It may be called again.
func (p *pace) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	return p.cut
}

// look cuts a slow client off if others wait. The time that the handler takes is not the client's.
func (p *pace) look() {
	wanted := p.wanted()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer == nil {
		return
	}
	now := time.Now()
	if !p.since.IsZero() {
		p.spent += now.Sub(p.since)
		p.since = now
	}
	if wanted && p.spent >= paceTime/2 && p.taken < int(p.spent.Seconds()*paceBytes) {
		p.cut, p.timer = true, nil
		_ = p.rc.SetWriteDeadline(now.Add(-time.Second)) // a recorder in a test has none
		return
	}
	p.spent, p.taken = 0, 0
	p.timer.Reset(paceTime)
}

// Write writes b in pieces.
func (p *pace) Write(b []byte) (n int, err error) {
	for {
		piece := b[n:min(n+pieceBytes, len(b))]
		if err := p.enter(); err != nil {
			return n, err
		}
		wrote, err := p.w.Write(piece)
		p.leave(wrote)
		n += wrote
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

func (p *pace) flush() error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave(0)
	return p.rc.Flush()
}

func (p *pace) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return errSlow
	}
	p.since = time.Now()
	return nil
}

func (p *pace) leave(wrote int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent += time.Since(p.since)
	p.since = time.Time{}
	p.taken += wrote
}
