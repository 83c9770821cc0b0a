package budget

import (
	"context"
	"net/netip"
)

// Peer is the client of a request: an IPv4 address or an IPv6 /64 network. The zero value is the server itself.
type Peer struct{ network netip.Prefix }

type peerKey struct{}

// WithPeer returns a context for a request from a remote address with a port.
func WithPeer(ctx context.Context, remote string) context.Context {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ctx
	}
	ip, bits := addr.Addr().Unmap().WithZone(""), 32
	switch {
	case ip.IsLoopback():
		ip = netip.IPv6Loopback() // all loopback addresses are one peer
		bits = 128
	case ip.Is6():
		bits = 64
	}
	network, err := ip.Prefix(bits)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, Peer{network})
}

func peerOf(ctx context.Context) Peer {
	peer, _ := ctx.Value(peerKey{}).(Peer)
	return peer
}

// shareLimited reports whether the peer may hold only its share of the slots. The loopback peer may hold all: the embedded Grafana and
// proxies on this machine send the requests of many users. It takes turns like others.
func (p Peer) shareLimited() bool { return p.network.IsValid() && !p.network.Addr().IsLoopback() }
