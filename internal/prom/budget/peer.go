package budget

import (
	"context"
	"net/netip"
)

// Peer is for whom a slot is taken: an address, of IPv6 its network of 64 bits. The zero value is for what the server does itself.
type Peer struct{ network netip.Prefix }

type peerKey struct{}

// WithPeer returns a context for a request that comes from an address with a port.
func WithPeer(ctx context.Context, remote string) context.Context {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ctx
	}
	ip, bits := addr.Addr().Unmap().WithZone(""), 32
	switch {
	case ip.IsLoopback():
		ip = netip.IPv6Loopback() // whoever is here has all of them
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

// one tells whether a share is meant for it. Behind the loopback address stand all users of the embedded Grafana, and all whom a proxy
// on this machine lets in: it takes turns as others do, but
// may hold all slots.
func (p Peer) one() bool { return p.network.IsValid() && !p.network.Addr().IsLoopback() }
