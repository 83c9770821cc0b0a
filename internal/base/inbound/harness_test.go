package inbound_test

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/stackscope/stackscope/internal/base/inbound"
)

// network is a listener whose connections are pipes, for tests in simulated time. A pipe has no buffer: a write blocks until its data is
// read.
type network struct {
	incoming chan net.Conn
	failures chan error
	closed   chan struct{}
	close    func()
}

func newNetwork() *network {
	n := &network{incoming: make(chan net.Conn), failures: make(chan error), closed: make(chan struct{})}
	n.close = sync.OnceFunc(func() { close(n.closed) })
	return n
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.incoming:
		return c, nil
	case err := <-n.failures:
		return nil, err
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error   { n.close(); return nil }
func (n *network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80} }

// accepted is a pipe's end with a remote address.
type accepted struct {
	net.Conn
	from net.Addr
}

func (a accepted) RemoteAddr() net.Addr { return a.from }

// dial connects from an address.
func (n *network) dial(t *testing.T, from string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	n.incoming <- accepted{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 4711))}
	return client
}

// serve runs a server until the test ends.
func serve(t *testing.T, o inbound.Options, h http.HandlerFunc) (*network, *inbound.Server) {
	t.Helper()
	n, s := newNetwork(), inbound.New(h, o)
	done := make(chan error)
	go func() { done <- s.Serve(n) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return n, s
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Errorf("send: %v", err)
	}
}
