package discovery

import (
	"fmt"
	"net/netip"
	"net/url"
)

// declaration is a declared engine with host and port of its URL.
type declaration struct {
	Declared

	host string
	port int
}

func parseDeclared(d Declared) (declaration, error) {
	if d.Key == "" {
		return declaration{}, errNoKey
	}
	u, err := url.Parse(d.URL)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		// The error does not show the URL: it may hold a password.
		return declaration{}, fmt.Errorf("discovery: the URL of the declared engine %q is invalid: want http://HOST:PORT", d.Key)
	}
	out := declaration{Declared: d, host: u.Hostname(), port: 80}
	if u.Scheme == "https" {
		out.port = 443
	}
	if text := u.Port(); text != "" {
		port, ok := parsePort(text)
		if !ok || port == 0 {
			return declaration{}, fmt.Errorf("discovery: the URL of the declared engine %q has port %q: want 1 to 65535", d.Key, text)
		}
		out.port = port
	}
	return out, nil
}

// isAt reports whether one of these addresses is the declared one. A host name counts by what it resolves to, never by the names of
// containers.
func (d *declaration) isAt(m *machine, places []netip.AddrPort) bool {
	for _, place := range places {
		if int(place.Port()) != d.port {
			continue
		}
		here := m.isLocal(place.Addr().String())
		if here && m.isLocal(d.host) {
			return true
		}
		for _, addr := range m.names.addresses(d.host) {
			if addr == place.Addr() || here && m.isLocal(addr.String()) {
				return true
			}
		}
	}
	return false
}
