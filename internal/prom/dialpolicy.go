package prom

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/stackscope/stackscope/internal/fleet"
)

// dialPolicy decides which addresses the scraper may connect to. A worker chooses its own address, and DNS may resolve its name to any IP
// address later, so each connection is checked.
type dialPolicy struct {
	own atomic.Pointer[map[string]bool] // the server's own targets, host:port
}

func newDialPolicy() *dialPolicy {
	p := &dialPolicy{}
	p.own.Store(&map[string]bool{})
	return p
}

// allow sets the addresses that are allowed without a check.
func (p *dialPolicy) allow(addresses []string) {
	own := map[string]bool{}
	for _, a := range addresses {
		own[a] = true
	}
	p.own.Store(&own)
}

// dialRefusedError says why the scraper does not connect to a target.
type dialRefusedError struct{ target, why string }

func (e *dialRefusedError) Error() string {
	return fmt.Sprintf("%s is not scraped: %s; register the worker with an address at which the server reaches it", e.target, e.why)
}

// control returns the net.Dialer.Control function that checks each address of a target before the connection.
func (p *dialPolicy) control(target string) func(network, address string, c syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		if (*p.own.Load())[target] {
			return nil
		}
		host, _, err := net.SplitHostPort(target)
		if err != nil {
			host = target
		}
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return &dialRefusedError{target, "it resolves to " + address + ", which is not an address and port"}
		}
		if why := forbiddenAddress(host, to.Addr()); why != "" {
			return &dialRefusedError{target, why}
		}
		return nil
	}
}

// nat64 is the well-known prefix of NAT64, which embeds IPv4 addresses.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// forbiddenAddress says why a worker can't have an address that host resolves to; "" if it can.
func forbiddenAddress(host string, ip netip.Addr) string {
	ip = ip.Unmap()
	if nat64.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case ip.IsUnspecified(), ip.Is4() && ip.As4()[0] == 0:
		return "it resolves to the unspecified address " + ip.String()
	case ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "it resolves to the multicast or broadcast address " + ip.String()
	case ip.IsLinkLocalUnicast():
		return "it resolves to the link-local address " + ip.String()
	case ip.IsLoopback() && !fleet.IsLoopback(host):
		return "it resolves to the loopback address " + ip.String() + ", which is allowed only for a worker that registered a loopback address"
	}
	return ""
}
