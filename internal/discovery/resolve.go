package discovery

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// addressTTL is how long the addresses of a name are cached, lookupTimeout bounds one lookup.
	addressTTL    = 30 * time.Second
	lookupTimeout = 2 * time.Second
	maxNames      = 1024
)

// resolver caches the addresses of host names. It looks them up in the background, so that no round waits for a name server.
type resolver struct {
	lookup func(host string) ([]netip.Addr, error)

	mu    sync.Mutex
	names map[string]*lookupResult
}

type lookupResult struct {
	addrs     []netip.Addr
	requested time.Time // when the last lookup began
}

func newResolver() *resolver {
	return &resolver{lookup: lookup, names: map[string]*lookupResult{}}
}

// addresses returns the cached addresses of a host, which may itself be an address. What is not cached yet is looked up for the
// next call.
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
		name = &lookupResult{}
		r.names[host] = name
	}
	if name.requested.IsZero() || time.Since(name.requested) > addressTTL {
		name.requested = time.Now()
		go r.refresh(host)
	}
	return name.addrs
}

func lookup(host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func (r *resolver) refresh(host string) {
	addrs, err := r.lookup(host)
	if err != nil {
		return // the last addresses stay
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[host].addrs = addrs
}
