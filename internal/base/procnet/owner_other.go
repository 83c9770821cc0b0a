//go:build !linux

package procnet

import "net/netip"

// Owner fails with ErrNotHere: only Linux lists the users of connections in a way that any process may read.
func Owner(netip.AddrPort, netip.AddrPort) (uint32, error) { return 0, ErrNotHere }
