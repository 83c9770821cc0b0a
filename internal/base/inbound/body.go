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
	// bodyIdleTime bounds the wait for the next byte of a body.
	bodyIdleTime = 10 * time.Second
	// A body may take bodyTime plus its size at bodyRate bytes a second, but at most maxBodyTime.
	bodyTime    = 30 * time.Second
	bodyRate    = 32 << 10
	maxBodyTime = 2 * time.Minute
	// unreadTime bounds how long net/http reads the rest of a body that the handler did not read.
	unreadTime = 2 * time.Second
	// Bytes that the bodies of all current requests may have together: of requests without a credential, and of all.
	maxUntrustedBodies = 64 << 20
	maxBodies          = 256 << 20
)

// ErrBusy is the error of reading a body when the bodies of other requests use all the memory for bodies.
var ErrBusy = errors.New("the bodies of other requests use all the memory for request bodies; try again in a moment")

// bodies counts the bytes of the bodies of current requests.
type bodies struct{ untrusted, all atomic.Int64 }

// body is a request's body with deadlines.
type body struct {
	io.ReadCloser
	bodies    *bodies
	conn      *conn
	rc        *http.ResponseController
	began     time.Time
	untrusted bool

	mu       sync.Mutex // a proxy's transport reads and closes the body on another goroutine
	held     int64      // bytes counted in bodies
	complete bool
	arrived  bool // or its handler no longer waits for it
	ended    bool
}

func newBody(all *bodies, c *conn, w http.ResponseWriter, rest io.ReadCloser) *body {
	b := &body{ReadCloser: rest, bodies: all, conn: c, rc: http.NewResponseController(w), began: time.Now()}
	c.awaitingBody.Add(1)
	b.setDeadline(b.began.Add(bodyIdleTime)) // holds also when net/http reads the body because the handler does not
	return b
}

func (b *body) setDeadline(t time.Time) {
	_ = b.rc.SetReadDeadline(t) // a recorder in a test has none
}

// Read sets the deadline and reads the next bytes.
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
		b.stopWaiting()
		b.complete = errors.Is(err, io.EOF) // net/http has removed the deadline
	}
	if n > 0 && !b.account(int64(n)) {
		return n, fmt.Errorf("body: %w", ErrBusy)
	}
	return n, err
}

// account counts n more bytes and reports whether they are within the limits.
func (b *body) account(n int64) bool {
	if b.held == 0 {
		b.untrusted = !b.conn.trusted.Load()
	}
	b.held += n
	all := b.bodies.all.Add(n)
	if b.untrusted {
		return b.bodies.untrusted.Add(n) <= maxUntrustedBodies && all <= maxBodies
	}
	return all <= maxBodies
}

// stopWaiting notes that the handler waits for no more of the body.
func (b *body) stopWaiting() {
	if !b.arrived {
		b.arrived = true
		b.conn.awaitingBody.Add(-1)
	}
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.mu.Lock()
	b.stopWaiting()
	b.mu.Unlock()
	return b.ReadCloser.Close()
}

// end is called when the request has been answered.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.stopWaiting()
	b.bodies.all.Add(-b.held)
	if b.untrusted {
		b.bodies.untrusted.Add(-b.held)
	}
	if !b.complete {
		b.setDeadline(time.Now().Add(unreadTime))
	}
}
