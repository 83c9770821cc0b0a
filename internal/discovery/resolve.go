package discovery

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// resolvedFor is how long the addresses of a name stand, lookupTimeout bounds looking for them.
	resolvedFor   = 30 * time.Second
	lookupTimeout = 2 * time.Second
	maxNames      = 1024
)

// resolver knows the addresses of host names without waiting for a name server.
type resolver struct {
	lookup func(host string) ([]netip.Addr, error)

	mu    sync.Mutex
	names map[string]*resolved
}

type resolved struct {
	addrs []netip.Addr
	at    time.Time // when they were last asked for
}

func newResolver() *resolver {
	return &resolver{lookup: lookup, names: map[string]*resolved{}}
}

// addresses returns what is known of a name, or the address that it is itself. It asks for the rest and has it the next time.
func (r *resolver) addresses(host string) []netip.Addr {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap().WithZone("")}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	name := r.names[host]
	if name == nil {
		if len(r.names) == maxNames {
			return nil
		}
		name = &resolved{}
		r.names[host] = name
	}
	if name.at.IsZero() || time.Since(name.at) > resolvedFor {
		name.at = time.Now()
		go r.ask(host)
	}
	return name.addrs
}

func lookup(host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func (r *resolver) ask(host string) {
	addrs, err := r.lookup(host)
	if err != nil {
		return // the last ones stand
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[host].addrs = addrs
}
