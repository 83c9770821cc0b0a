package prom

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/stackscope/stackscope/internal/fleet"
)

// reach says which addresses the scraper may connect to. A worker names its own address, and a name can lead anywhere by the time
// that it is looked up, so each connection is checked again.
type reach struct {
	own atomic.Pointer[map[string]bool] // the server's own targets, host:port
}

func newReach() *reach {
	r := &reach{}
	r.own.Store(&map[string]bool{})
	return r
}

// allow makes addresses reachable whatever they are.
func (r *reach) allow(addresses []string) {
	own := map[string]bool{}
	for _, a := range addresses {
		own[a] = true
	}
	r.own.Store(&own)
}

// refused says why the scraper does not connect somewhere.
type refusedError struct{ target, why string }

func (e *refusedError) Error() string {
	return fmt.Sprintf("%s is not scraped: %s; register the worker with the address that the server reaches it at", e.target, e.why)
}

// control returns what net.Dialer asks before it connects to an address that it found for target.
func (r *reach) control(target string) func(network, address string, c syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		if (*r.own.Load())[target] {
			return nil
		}
		host, _, err := net.SplitHostPort(target)
		if err != nil {
			host = target
		}
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return &refusedError{target, "it leads to " + address + ", which is no address and port"}
		}
		if why := unfit(host, to.Addr()); why != "" {
			return &refusedError{target, why}
		}
		return nil
	}
}

// nat64 is the prefix below which a gateway reaches IPv4 addresses.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// unfit says why an address, found for host, is none that a worker has; "" when it may be one.
func unfit(host string, ip netip.Addr) string {
	ip = ip.Unmap()
	if nat64.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case ip.IsUnspecified(), ip.Is4() && ip.As4()[0] == 0:
		return "it leads to the unspecified address " + ip.String()
	case ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "it leads to the multicast or broadcast address " + ip.String()
	case ip.IsLinkLocalUnicast():
		return "it leads to the link-local address " + ip.String()
	case ip.IsLoopback() && !fleet.IsLoopback(host):
		return "it leads to the loopback address " + ip.String() + ", and only a worker that names loopback itself is scraped there"
	}
	return ""
}
