// Package ownaddress finds the address under which other machines reach this one.
package ownaddress

import (
	"context"
	"net"
	"net/url"
	"time"
)

const loopback = "127.0.0.1"

// Find returns the address that a listener binds if it is a single one, else the local address of the route to the server. A server on
// this machine says nothing about that, but a Prometheus elsewhere may take the address from it: then it is the address from which
// other machines are reached.
func Find(ctx context.Context, bindHost, serverURL string) string {
	if ip := net.ParseIP(bindHost); ip != nil && !ip.IsUnspecified() {
		return ip.String()
	}
	if u, err := url.Parse(serverURL); err == nil && u.Hostname() != "" {
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

// route returns the local address of the route to a host, or nil. It sends nothing: connecting a datagram socket only chooses the route.
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
