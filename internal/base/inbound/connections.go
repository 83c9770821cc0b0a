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
	// stallTime is after how long a client that takes nothing of its answer may lose its connection to others.
	stallTime = time.Second
	// evictionShare is how much of all connections is given up at once when there is no room: looking for them costs time.
	evictionShare = 64
)

// connections are those of a server. There is room for a new one as long as one is left that can be given up: without a credential,
// and idle. Clients that share an address have no bound of their own, as many may stand behind one; only when there is no room, the
// address that has most gives way first.
type connections struct {
	max        int
	reserve    int // for those that get one answer
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
	// Evicted is how many idle ones were closed to make room for others, Refused how many were closed at once because there was none.
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

// Accept returns the next connection that there is room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, syscall.EMFILE) && l.conns.makeRoom() {
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

// admit returns nil when there is no room.
func (cs *connections) admit(c net.Conn) *conn {
	cs.mu.Lock()
	var idle []*conn
	spare := false
	if len(cs.open) >= cs.max {
		if idle = cs.choose(); len(idle) == 0 && len(cs.open) >= cs.max+cs.reserve {
			cs.mu.Unlock()
			return nil
		}
		spare = len(cs.open) >= cs.max
	}
	cs.last++
	admitted := &conn{Conn: c, owner: cs, peer: peer(c.RemoteAddr()), order: cs.last, spare: spare}
	cs.open[admitted] = struct{}{}
	cs.mu.Unlock()
	cs.evict(idle)
	if tcp, ok := c.(*net.TCPConn); ok && cs.sendBuffer > 0 {
		_ = tcp.SetWriteBuffer(cs.sendBuffer) // it works without, too
	}
	return admitted
}

// makeRoom gives up connections when the process can open no more files, and reports whether there were any.
func (cs *connections) makeRoom() bool {
	cs.mu.Lock()
	idle := cs.choose()
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

// choose takes out of open the oldest of the idle connections of the address that has most connections without a credential.
func (cs *connections) choose() []*conn {
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
	var most *share
	for _, s := range peers {
		if len(s.idle) > 0 && (most == nil || s.all > most.all || s.all == most.all && oldest(s.idle) < oldest(most.idle)) {
			most = s
		}
	}
	if most == nil {
		return nil
	}
	slices.SortFunc(most.idle, func(a, b *conn) int { return cmp.Compare(a.order, b.order) })
	idle := most.idle[:min(len(most.idle), max(1, cs.max/evictionShare))]
	for _, c := range idle {
		delete(cs.open, c)
	}
	return idle
}

func oldest(list []*conn) uint64 {
	return slices.MinFunc(list, func(a, b *conn) int { return cmp.Compare(a.order, b.order) }).order
}

func (cs *connections) forget(c *conn) {
	if cs == nil {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
}

// peer is the address that connections are counted by.
func peer(addr net.Addr) netip.Addr { return Peer(addr.String()) }

// Peer is the address by which clients are counted, of a connection's remote end, HOST:PORT: of IPv6 the network, as one machine has
// all of it. It is the zero Addr where there is none, as on a Unix socket.
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
