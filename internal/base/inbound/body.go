package inbound

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of bodies.
const (
	// bodyIdleTime is how long the next byte of a body may take.
	bodyIdleTime = 10 * time.Second
	// A body may take bodyTime, and as much longer as it needs at bodyRate bytes a second, but not longer than maxBodyTime.
	bodyTime    = 30 * time.Second
	bodyRate    = 32 << 10
	maxBodyTime = 2 * time.Minute
	// restTime is how long the rest of a body may take that the handler did not want.
	restTime = 2 * time.Second
	// What the bodies of all requests that are being answered may hold: of those without a credential, and of all.
	maxStrangeBodies = 64 << 20
	maxBodies        = 256 << 20
)

// ErrBusy is what reading a body fails with when the bodies of other requests hold all the memory that there is for them.
var ErrBusy = errors.New("the bodies of other requests take all the memory that there is for them; try again in a moment")

// bodies counts the bytes that were read and whose requests have not been answered.
type bodies struct{ strange, all atomic.Int64 }

// body is a request's body with deadlines.
type body struct {
	io.ReadCloser
	bodies  *bodies
	conn    *conn
	rc      *http.ResponseController
	began   time.Time
	strange bool

	mu       sync.Mutex // a proxy's transport reads and closes it on its own goroutine
	held     int64
	complete bool
	arrived  bool // or nobody waits for it any more
	ended    bool
}

func newBody(all *bodies, c *conn, w http.ResponseWriter, rest io.ReadCloser) *body {
	b := &body{ReadCloser: rest, bodies: all, conn: c, rc: http.NewResponseController(w), began: time.Now()}
	c.awaiting.Add(1)
	b.setDeadline(b.began.Add(bodyIdleTime)) // also for what net/http reads of it when the handler doesn't
	return b
}

func (b *body) setDeadline(t time.Time) {
	_ = b.rc.SetReadDeadline(t) // a recorder in a test has none
}

// Read reads the next bytes, if they come in time.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	if !b.arrived {
		now := time.Now()
		limit := min(bodyTime+time.Duration(b.held)*time.Second/bodyRate, maxBodyTime)
		deadline := now.Add(bodyIdleTime)
		if last := b.began.Add(limit); last.Before(deadline) {
			deadline = last
		}
		b.setDeadline(deadline)
	}
	b.mu.Unlock()

	n, err := b.ReadCloser.Read(p[:min(len(p), pieceBytes)])

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return n, err
	}
	if err != nil {
		b.settle()
		b.complete = errors.Is(err, io.EOF) // net/http has taken the deadline away
	}
	if n > 0 && !b.hold(int64(n)) {
		return n, fmt.Errorf("body: %w", ErrBusy)
	}
	return n, err
}

// hold notes n more bytes.
func (b *body) hold(n int64) bool {
	if b.held == 0 {
		b.strange = !b.conn.trusted.Load()
	}
	b.held += n
	all := b.bodies.all.Add(n)
	if b.strange {
		return b.bodies.strange.Add(n) <= maxStrangeBodies && all <= maxBodies
	}
	return all <= maxBodies
}

// settle says that nobody waits for more of the body.
func (b *body) settle() {
	if !b.arrived {
		b.arrived = true
		b.conn.awaiting.Add(-1)
	}
}

// Close says that the handler needs no more.
func (b *body) Close() error {
	b.mu.Lock()
	b.settle()
	b.mu.Unlock()
	return b.ReadCloser.Close()
}

// end is called when the request has been answered.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.settle()
	b.bodies.all.Add(-b.held)
	if b.strange {
		b.bodies.strange.Add(-b.held)
	}
	if !b.complete {
		b.setDeadline(time.Now().Add(restTime))
	}
}
