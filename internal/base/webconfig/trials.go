package webconfig

import (
	"crypto/sha256"
	"net/http"
	"net/netip"
	"sync"
)

const (
	// maxRight bounds the credentials that are remembered as right.
	maxRight = 64
	// maxTrials is how many passwords wait for being looked at, one of each address. Each takes a core for a tenth of a second, and the
	// toolkit takes one after the other: whoever guesses must not keep those out who know.
	maxTrials = 8
)

// trials lets passwords be looked at. The zero value is ready to use.
type trials struct {
	mu     sync.Mutex
	number int // of the reading of the file that right is of
	right  map[credential]bool
	open   map[credential]*trial
}

// credential is the hash of one.
type credential = [sha256.Size]byte

type trial struct {
	peer netip.Addr
	done chan struct{}
}

// begin reports whether a credential may be looked at now, and returns what says how that ended. One that was right may always be; while
// the same one is being looked at for another request, it waits.
func (t *trials) begin(r *http.Request, number int, c credential) (settle func(right bool), ok bool) {
	for {
		t.mu.Lock()
		if t.number != number {
			t.number, t.right = number, nil
		}
		if t.right[c] {
			t.mu.Unlock()
			return func(bool) {}, true
		}
		other := t.open[c]
		if other == nil {
			break
		}
		t.mu.Unlock()
		select {
		case <-other.done:
		case <-r.Context().Done():
			return nil, false
		}
	}
	defer t.mu.Unlock()
	own := &trial{peer(r.RemoteAddr), make(chan struct{})}
	if len(t.open) >= maxTrials {
		return nil, false
	}
	for _, other := range t.open {
		if other.peer == own.peer {
			return nil, false
		}
	}
	if t.open == nil {
		t.open = map[credential]*trial{}
	}
	t.open[c] = own
	var once sync.Once
	return func(right bool) { once.Do(func() { t.end(c, number, right) }) }, true
}

func (t *trials) end(c credential, number int, right bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.open[c].done)
	delete(t.open, c)
	if !right || t.number != number {
		return
	}
	if t.right == nil || len(t.right) >= maxRight {
		t.right = map[credential]bool{}
	}
	t.right[c] = true
}

// peer is the address that trials are counted by: of IPv6 the network, as one machine has all of it.
func peer(remote string) netip.Addr {
	const network = 64
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(network); err == nil {
			return p.Addr()
		}
	}
	return ip
}
