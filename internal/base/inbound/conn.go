package inbound

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeTimeout bounds how long a client may take for one piece of an answer.
	writeTimeout = 30 * time.Second
	// pieceBytes is the size of a piece. How slow a client may be depends on what the system buffers, as it wakes a writer when a third
	// of that is free: with a SendBuffer of 512 KiB, which Linux doubles, 16 KiB a second suffice and 12 do not.
	pieceBytes = 64 << 10
)

// conn is a connection with a deadline for each piece that is written.
type conn struct {
	net.Conn
	owner *connections
	peer  netip.Addr
	order uint64 // of acceptance
	spare bool   // beyond the bound: it gets one answer

	trusted  atomic.Bool  // a credential came over it
	inside   atomic.Int32 // requests in the handler
	awaiting atomic.Int32 // those of them whose body has not come
	writing  atomic.Int64 // when the piece that is being written was begun, since start; 0: none is

	mu     sync.Mutex
	theirs bool // the write deadline is the handler's
	free   bool // hijacked: it has no deadlines of ours
}

// start is what times are counted from.
var start = time.Now()

// Write writes p in pieces.
func (c *conn) Write(p []byte) (n int, err error) {
	defer c.writing.Store(0)
	for {
		piece := p[n:min(n+pieceBytes, len(p))]
		c.arm()
		wrote, err := c.Conn.Write(piece)
		n += wrote
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

func (c *conn) arm() {
	now := time.Now()
	c.writing.Store(int64(now.Sub(start)))
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.theirs && !c.free {
		_ = c.Conn.SetWriteDeadline(now.Add(writeTimeout)) // fails on a closed connection, as the write will
	}
}

// SetWriteDeadline sets a deadline that holds until the zero time brings ours back.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.theirs = !t.IsZero()
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// release leaves the deadlines to whoever took the connection over.
func (c *conn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = true
}

// CloseWrite ends the writing half, for the server that wants its last answer read.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection.
func (c *conn) Close() error {
	c.owner.forget(c)
	return c.Conn.Close()
}

// idle reports whether nothing would be lost with the connection but a client's patience: it carries no request, or its requests
// wait for bodies, or its client has taken nothing of an answer for long.
func (c *conn) idle(now time.Duration) bool {
	if c.inside.Load() <= c.awaiting.Load() {
		return true
	}
	since := c.writing.Load()
	return since != 0 && now-time.Duration(since) > stallTime
}
