package procnet_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stackscope/stackscope/internal/base/procnet"
)

// TestOwnerOfAConnection asks the running kernel, over IPv4 and IPv6.
func TestOwnerOfAConnection(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			ln, err := net.Listen(network, "localhost:0")
			if err != nil {
				t.Skipf("this machine has no loopback address for %s: %v", network, err)
			}
			defer ln.Close()
			client, err := net.Dial(network, ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			ask := func() (uint32, error) {
				return procnet.Owner(address(t, server.RemoteAddr()), address(t, server.LocalAddr()))
			}
			if uid, err := ask(); err != nil || int64(uid) != int64(os.Geteuid()) {
				t.Errorf("user %d, %v; this process is of user %d", uid, err, os.Geteuid())
			}
			client.Close()
			if uid, err := ask(); !errors.Is(err, procnet.ErrClosed) {
				t.Errorf("after the client closed: user %d, %v", uid, err)
			}
			server.Close()
			if uid, err := ask(); err == nil {
				t.Errorf("after both closed: user %d", uid)
			}
		})
	}
}

func address(t *testing.T, a net.Addr) netip.AddrPort {
	t.Helper()
	return a.(*net.TCPAddr).AddrPort()
}
