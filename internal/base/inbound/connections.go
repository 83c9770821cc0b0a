package inbound

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// stallTime is how long a client may read nothing of its answer before its connection can be evicted.
	stallTime = time.Second
	// evictionFraction: one eviction closes up to 1/64 of MaxConnections, because finding idle connections takes time.
	evictionFraction = 64
)

// connections holds the open connections of a server. When there are max, a new one is accepted if an idle one without a credential can
// be evicted. Addresses have no limit of their own, because many clients can share one behind a proxy. The address with the most
// connections loses some first.
type connections struct {
	max        int
	reserve    int // connections that get one answer
	sendBuffer int // 0: the system's

	mu   sync.Mutex
	last uint64
	open map[*conn]struct{}

	evicted, refused atomic.Int64
}

func newConnections(o Options) *connections {
	return &connections{max: o.MaxConnections, reserve: o.Reserve, sendBuffer: o.SendBuffer, open: make(map[*conn]struct{})}
}

// Stats counts a server's connections.
type Stats struct {
	Open, Max int
	// Evicted counts idle connections that were closed for new ones, Refused new ones that were closed because none could be evicted.
	Evicted, Refused int64
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	return Stats{Open: len(s.conns.open), Max: s.conns.max, Evicted: s.conns.evicted.Load(), Refused: s.conns.refused.Load()}
}

type listener struct {
	net.Listener
	conns *connections
}

func (cs *connections) listen(ln net.Listener) net.Listener { return &listener{ln, cs} }

// Accept returns the next connection that is admitted.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, syscall.EMFILE) && l.conns.evictIdle() {
				continue
			}
			return nil, err
		}
		if admitted := l.conns.admit(c); admitted != nil {
			return admitted, nil
		}
		l.conns.refused.Add(1)
		_ = c.Close()
	}
}

// admit returns nil if the limits are reached and no connection can be evicted.
func (cs *connections) admit(c net.Conn) *conn {
	cs.mu.Lock()
	var idle []*conn
	reserved := false
	if len(cs.open) >= cs.max {
		if idle = cs.takeIdle(); len(idle) == 0 && len(cs.open) >= cs.max+cs.reserve {
			cs.mu.Unlock()
			return nil
		}
		reserved = len(cs.open) >= cs.max
	}
	cs.last++
	admitted := &conn{Conn: c, owner: cs, peer: Peer(c.RemoteAddr().String()), number: cs.last, reserved: reserved}
	cs.open[admitted] = struct{}{}
	cs.mu.Unlock()
	cs.evict(idle)
	if tcp, ok := c.(*net.TCPConn); ok && cs.sendBuffer > 0 {
		_ = tcp.SetWriteBuffer(cs.sendBuffer) // only a tuning
	}
	return admitted
}

// evictIdle evicts connections when the process can open no more files, and reports whether there were any.
func (cs *connections) evictIdle() bool {
	cs.mu.Lock()
	idle := cs.takeIdle()
	cs.mu.Unlock()
	cs.evict(idle)
	return len(idle) > 0
}

func (cs *connections) evict(idle []*conn) {
	for _, c := range idle {
		cs.evicted.Add(1)
		_ = c.Conn.Close()
	}
}

// takeIdle removes from open the oldest idle connections of the address that has the most connections without a credential.
func (cs *connections) takeIdle() []*conn {
	type share struct {
		all  int
		idle []*conn
	}
	now := time.Since(start)
	peers := make(map[netip.Addr]*share)
	for c := range cs.open {
		if c.trusted.Load() {
			continue
		}
		s := peers[c.peer]
		if s == nil {
			s = &share{}
			peers[c.peer] = s
		}
		s.all++
		if c.idle(now) {
			s.idle = append(s.idle, c)
		}
	}
	var busiest *share
	for _, s := range peers {
		if len(s.idle) > 0 && (busiest == nil || s.all > busiest.all || s.all == busiest.all && oldest(s.idle) < oldest(busiest.idle)) {
			busiest = s
		}
	}
	if busiest == nil {
		return nil
	}
	slices.SortFunc(busiest.idle, func(a, b *conn) int { return cmp.Compare(a.number, b.number) })
	idle := busiest.idle[:min(len(busiest.idle), max(1, cs.max/evictionFraction))]
	for _, c := range idle {
		delete(cs.open, c)
	}
	return idle
}

func oldest(list []*conn) uint64 {
	return slices.MinFunc(list, func(a, b *conn) int { return cmp.Compare(a.number, b.number) }).number
}

func (cs *connections) remove(c *conn) {
	if cs == nil {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
}

// Peer returns the address by which clients are counted, from a remote address HOST:PORT. For IPv6 it is the /64 network, because one
// machine can use all of its addresses. It is the zero Addr for a Unix socket.
func Peer(remote string) netip.Addr {
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
