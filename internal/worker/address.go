package worker

import (
	"context"
	"net"
	"net/url"
	"time"
)

const loopback = "127.0.0.1"

// address returns the address under which the worker is scraped: the one that was given, else the one on which it listens
// if that is one alone, else the one from which the server is reached. A server on this machine says nothing about that, but
// a Prometheus elsewhere may ask it for targets: then it is the address from which others are reached.
func (w *Worker) address(ctx context.Context) string {
	if w.opts.Address != "" {
		return w.opts.Address
	}
	if ip := net.ParseIP(w.opts.MetricsHost); ip != nil && !ip.IsUnspecified() {
		return ip.String()
	}
	if u, err := url.Parse(w.opts.ServerURL); err == nil && u.Hostname() != "" {
		if ip := route(ctx, u.Hostname()); ip != nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			return ip.String()
		}
	}
	const documentation = "192.0.2.1" // nobody's address: it takes the default route
	if ip := route(ctx, documentation); ip != nil {
		return ip.String()
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return loopback
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return loopback
}

// route returns the local address of the route to a host, or nil. Nothing is sent: connecting a datagram socket only picks
// one.
func route(ctx context.Context, host string) net.IP {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	const anyPort = "9"
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort(host, anyPort))
	if err != nil {
		return nil
	}
	addr, ok := conn.LocalAddr().(*net.UDPAddr)
	if conn.Close() != nil || !ok || addr.IP.IsUnspecified() {
		return nil
	}
	return addr.IP
}
