package discovery

import (
	"net/netip"
	"net/url"
)

// reach returns where a port of a container is reached from here, or why it isn't.
func (m *merging) reach(c *container, r *running, port int) (netip.AddrPort, reason) {
	if port == 0 {
		return netip.AddrPort{}, reasonNoPort
	}
	if r != nil && r.port == port {
		if r.own {
			return placeOf(r.url), "" // in the same network as we are
		}
		if r.lost == reasonLoopback {
			return netip.AddrPort{}, reasonLoopback
		}
	}
	if places := m.places(c, port, 0); len(places) > 0 {
		return places[0], ""
	}
	if r != nil && r.url != "" {
		return netip.AddrPortFrom(placeOf(r.url).Addr(), uint16(port)), ""
	}
	return netip.AddrPort{}, reasonNoAddress
}

// places returns where Docker says that a port of a container is reached, the best first.
func (m *merging) places(c *container, port, depth int) []netip.AddrPort {
	const maxJoined = 4
	if c.joined != "" {
		if other := m.byID[c.joined]; other != nil && depth < maxJoined {
			return m.places(other, port, depth+1)
		}
		return nil
	}
	if c.host {
		if (m.here || c.remote) && c.here.IsValid() {
			return []netip.AddrPort{netip.AddrPortFrom(c.here, uint16(port))}
		}
		return nil
	}
	var list []netip.AddrPort
	for _, addr := range c.addrs {
		list = append(list, netip.AddrPortFrom(addr, uint16(port)))
	}
	if published, ok := c.published[port]; ok {
		if m.here || c.remote {
			return append([]netip.AddrPort{published}, list...)
		}
		if !published.Addr().IsLoopback() {
			list = append(list, published)
		}
	}
	return list
}

// placeOf reads an address of our own making.
func placeOf(address string) netip.AddrPort {
	u, err := url.Parse(address)
	if err != nil {
		return netip.AddrPort{}
	}
	place, _ := netip.ParseAddrPort(u.Host)
	return place
}
