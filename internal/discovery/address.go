package discovery

import (
	"net/netip"
	"net/url"
)

// address returns the address by which the worker reaches a port of a container, or why there is none.
func (m *merger) address(c *container, r *engineProcess, port int) (netip.AddrPort, skipReason) {
	if port == 0 {
		return netip.AddrPort{}, skipNoPort
	}
	if r != nil && r.port == port {
		if r.ownNetwork {
			return urlAddress(r.url), "" // in the worker's network namespace
		}
		if r.unreachable == skipLoopback {
			return netip.AddrPort{}, skipLoopback
		}
	}
	if places := m.addresses(c, port, 0); len(places) > 0 {
		return places[0], ""
	}
	if r != nil && r.url != "" {
		return netip.AddrPortFrom(urlAddress(r.url).Addr(), uint16(port)), ""
	}
	return netip.AddrPort{}, skipNoAddress
}

// addresses returns the addresses of a port of a container according to Docker, the best first.
func (m *merger) addresses(c *container, port, depth int) []netip.AddrPort {
	const maxJoined = 4
	if c.networkOf != "" {
		if other := m.byID[c.networkOf]; other != nil && depth < maxJoined {
			return m.addresses(other, port, depth+1)
		}
		return nil
	}
	if c.hostNetwork {
		if (m.inHostNetwork || c.remote) && c.hostAddr.IsValid() {
			return []netip.AddrPort{netip.AddrPortFrom(c.hostAddr, uint16(port))}
		}
		return nil
	}
	var list []netip.AddrPort
	for _, addr := range c.addresses {
		list = append(list, netip.AddrPortFrom(addr, uint16(port)))
	}
	if published, ok := c.published[port]; ok {
		if m.inHostNetwork || c.remote {
			return append([]netip.AddrPort{published}, list...)
		}
		if !published.Addr().IsLoopback() {
			list = append(list, published)
		}
	}
	return list
}

// urlAddress returns the address in a URL that engineProcess made.
func urlAddress(address string) netip.AddrPort {
	u, err := url.Parse(address)
	if err != nil {
		return netip.AddrPort{}
	}
	place, _ := netip.ParseAddrPort(u.Host)
	return place
}
