package inbound

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeTimeout bounds how long a client may take to read one piece of an answer.
	writeTimeout = 30 * time.Second
	// pieceBytes is the size of a piece. The speed that a client needs also depends on the send buffer, because Linux wakes a writer
	// when a third of it is free. With a SendBuffer of 512 KiB, which Linux doubles, 16 KiB a second suffice and 12 do not.
	pieceBytes = 64 << 10
)

// conn is a connection with a deadline for each piece that is written.
type conn struct {
	net.Conn
	owner    *connections
	peer     netip.Addr
	number   uint64 // in the order of acceptance
	reserved bool   // beyond MaxConnections: it gets one answer

	trusted      atomic.Bool  // a request came with a valid credential
	inHandler    atomic.Int32 // requests in the handler
	awaitingBody atomic.Int32 // of these, requests whose body is incomplete
	writing      atomic.Int64 // when the write of the current piece began, since start; 0: no write

	mu              sync.Mutex
	handlerDeadline bool // the handler has set the write deadline
	hijacked        bool // the deadlines are the hijacker's
}

// start is the zero of conn.writing.
var start = time.Now()

// Write writes p in pieces.
func (c *conn) Write(p []byte) (n int, err error) {
	defer c.writing.Store(0)
	for {
		piece := p[n:min(n+pieceBytes, len(p))]
		c.arm()
		written, err := c.Conn.Write(piece)
		n += written
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
	if !c.handlerDeadline && !c.hijacked {
		_ = c.Conn.SetWriteDeadline(now.Add(writeTimeout)) // fails only on a closed connection, and then the write fails, too
	}
}

// SetWriteDeadline sets the handler's deadline. The zero time restores the deadline for each piece.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handlerDeadline = !t.IsZero()
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// release leaves the deadlines to the handler that hijacked the connection.
func (c *conn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hijacked = true
}

// CloseWrite closes the writing half. net/http does so to let the client read the last answer.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection.
func (c *conn) Close() error {
	c.owner.remove(c)
	return c.Conn.Close()
}

// idle reports whether the connection may be evicted: it has no request, or its requests wait for bodies, or its client has read
// nothing of an answer for stallTime.
func (c *conn) idle(now time.Duration) bool {
	if c.inHandler.Load() <= c.awaitingBody.Load() {
		return true
	}
	since := c.writing.Load()
	return since != 0 && now-time.Duration(since) > stallTime
}
