package discovery

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

const (
	// maxTree bounds the descendants of an engine whose files are looked at.
	maxTree = 256
	// maxSockets bounds the sockets whose owner is remembered for an engine.
	maxSockets = 8192
)

// owner says whose a listening socket is.
type owner uint8

const (
	ownerUnknown owner = iota // the engine's open files may not be looked at
	ownerOther
	ownerTree // a descendant of the engine's root process
	ownerRoot
)

// resolve finds out where an engine is reached.
func (p *processes) resolve(pid int, e *engine) *running {
	r := &running{facts: e.facts, set: e.set, pid: pid, id: e.id, started: e.started}
	// What may not be looked at is in our network unless it is in a container.
	r.own = p.machine.isOwn(e.network) || (e.network == "" && e.id == "")
	r.port, r.listening = p.port(pid, e, p.spaces.listeners(e.network, pid))
	if r.port == 0 {
		return nil // it chooses a port itself and hasn't done so yet
	}
	var host netip.Addr
	if host, r.lost = p.spaces.host(e.network, pid, r.port, r.own); r.lost == "" {
		r.url = "http://" + netip.AddrPortFrom(host, uint16(r.port)).String()
	}
	return r
}

// port returns the port at which an engine gives its metrics and whether it is open; all are the listening sockets of its
// network.
func (p *processes) port(pid int, e *engine, all []listener) (port int, open bool) {
	on := func(port int) []listener {
		var list []listener
		for _, l := range all {
			if l.port == port {
				list = append(list, l)
			}
		}
		return list
	}
	if e.set.port > 0 {
		return e.set.port, len(on(e.set.port)) > 0
	}
	told := e.port
	if told == 0 && !e.anyPort {
		told = e.env.port(e.sign.PortEnv)
	}
	guess := told
	if guess == 0 && !e.anyPort {
		guess = e.sign.Port
	}
	there := on(guess)
	p.classify(pid, e, there)
	for _, l := range there {
		if e.sockets[l.inode] != ownerOther {
			return guess, true
		}
	}
	if told > 0 && len(there) == 0 {
		return told, false // still starting
	}
	// It was told no port, or one that somebody else has: then it listens elsewhere. Its workers open ports for each other, so
	// those of the root process come first, and the workers' count only where there is nothing to go by.
	p.classify(pid, e, all)
	least := ownerRoot
	if e.anyPort || len(there) > 0 {
		least = ownerTree
	}
	var best *listener
	for i := range all {
		if l := &all[i]; e.sockets[l.inode] >= least && (best == nil || p.better(e, l, best)) {
			best = l
		}
	}
	if best != nil {
		return best.port, true
	}
	return guess, false
}

// better orders the ports that an engine listens on.
func (p *processes) better(e *engine, a, b *listener) bool {
	if x, y := e.sockets[a.inode], e.sockets[b.inode]; x != y {
		return x > y
	}
	if x, y := a.addr.IsLoopback(), b.addr.IsLoopback(); x != y {
		return y
	}
	return a.port < b.port
}

// classify finds out whose these sockets are. What is known of one is kept, but now and then it is asked again whether one
// that was somebody else's has been handed to the engine.
func (p *processes) classify(root int, e *engine, sockets []listener) {
	again := p.turn(root, p.slots)
	missing := slices.ContainsFunc(sockets, func(l listener) bool {
		who, ok := e.sockets[l.inode]
		return !ok || (again && who != ownerRoot)
	})
	if !missing {
		return
	}
	if len(e.sockets) > maxSockets {
		clear(e.sockets)
	}
	rest := ownerOther
	held := map[uint64]owner{}
	if !p.sockets(root, ownerRoot, held) {
		rest = ownerUnknown
	}
	if slices.ContainsFunc(sockets, func(l listener) bool { return held[l.inode] == 0 }) {
		for _, pid := range p.tree(root) {
			if !p.sockets(pid, ownerTree, held) {
				rest = ownerUnknown
			}
		}
	}
	for _, l := range sockets {
		who, ok := held[l.inode]
		if !ok {
			who = rest
		}
		e.sockets[l.inode] = who
	}
}

// tree returns the descendants of a process.
func (p *processes) tree(root int) []int {
	var list []int
	for pid := range p.all {
		if pid != root && p.isBelow(pid, root) {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list[:min(len(list), maxTree)]
}

// sockets notes the sockets that a process has open and reports whether it may be looked at.
func (p *processes) sockets(pid int, who owner, held map[uint64]owner) bool {
	dir := filepath.Join(p.fs.root, strconv.Itoa(pid), "fd")
	f, err := os.Open(dir)
	if err != nil {
		return !isDenied(err)
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(maxFDs)
	if err != nil && len(names) == 0 {
		return !isDenied(err)
	}
	for _, name := range names {
		target, err := os.Readlink(filepath.Join(dir, name))
		if isDenied(err) {
			return false
		}
		if inode, ok := socketInode(target); ok && held[inode] < who {
			held[inode] = who
		}
	}
	return true
}
