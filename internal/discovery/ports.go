package discovery

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

const (
	// maxTree bounds the descendants of an engine whose open files are read.
	maxTree = 256
	// maxSockets bounds the sockets whose owner is cached for an engine.
	maxSockets = 8192
)

// owner says which process owns a listening socket.
type owner uint8

const (
	ownerUnknown owner = iota // the engine's open files may not be read
	ownerOther
	ownerTree // a descendant of the engine's root process
	ownerRoot
)

// locate finds port and URL of an engine; nil while it has not opened a port of its own choice.
func (p *processes) locate(pid int, e *engineDetails) *engineProcess {
	r := &engineProcess{launchArguments: e.launchArguments, settings: e.settings, env: e.env, pid: pid, containerID: e.containerID, started: e.started}
	// Without permission to read its namespace, a process outside containers is assumed to be in the worker's.
	r.ownNetwork = p.machine.isOwn(e.network) || (e.network == "" && e.containerID == "")
	r.port, r.listening = p.port(pid, e, p.namespaces.listeners(e.network, pid))
	if r.port == 0 {
		return nil
	}
	var host netip.Addr
	if host, r.unreachable = p.namespaces.reachableAddress(e.network, pid, r.port, r.ownNetwork); r.unreachable == "" {
		r.url = "http://" + netip.AddrPortFrom(host, uint16(r.port)).String()
	}
	return r
}

// port returns the port of an engine's metrics and whether it is open; all are the listening sockets of its network namespace.
func (p *processes) port(pid int, e *engineDetails, all []listener) (port int, open bool) {
	on := func(port int) []listener {
		var list []listener
		for _, l := range all {
			if l.port == port {
				list = append(list, l)
			}
		}
		return list
	}
	if e.settings.port > 0 {
		return e.settings.port, len(on(e.settings.port)) > 0
	}
	configured := e.port
	if configured == 0 && !e.anyPort {
		configured = e.env.port(e.rule.PortEnv)
	}
	guess := configured
	if guess == 0 && !e.anyPort {
		guess = e.rule.Port
	}
	atGuess := on(guess)
	p.findSocketOwners(pid, e, atGuess)
	for _, l := range atGuess {
		if e.sockets[l.inode] != ownerOther {
			return guess, true
		}
	}
	if configured > 0 && len(atGuess) == 0 {
		return configured, false // still starting
	}
	// No port is configured, or another process has it: the engine listens elsewhere. Its workers open ports for each other, so
	// ports of the root process come first, and ports of the workers count only if nothing else helps.
	p.findSocketOwners(pid, e, all)
	least := ownerRoot
	if e.anyPort || len(atGuess) > 0 {
		least = ownerTree
	}
	var best *listener
	for i := range all {
		if l := &all[i]; e.sockets[l.inode] >= least && (best == nil || p.isBetterPort(e, l, best)) {
			best = l
		}
	}
	if best != nil {
		return best.port, true
	}
	return guess, false
}

// isBetterPort reports whether a is more likely the metrics port than b.
func (p *processes) isBetterPort(e *engineDetails, a, b *listener) bool {
	if x, y := e.sockets[a.inode], e.sockets[b.inode]; x != y {
		return x > y
	}
	if x, y := a.addr.IsLoopback(), b.addr.IsLoopback(); x != y {
		return y
	}
	return a.port < b.port
}

// findSocketOwners fills e.sockets. Owners are cached, but a socket that the root process does not own is checked again now and
// then: it may have been passed on.
func (p *processes) findSocketOwners(root int, e *engineDetails, sockets []listener) {
	recheck := p.isDue(root, p.recheckRounds)
	missing := slices.ContainsFunc(sockets, func(l listener) bool {
		who, ok := e.sockets[l.inode]
		return !ok || (recheck && who != ownerRoot)
	})
	if !missing {
		return
	}
	if len(e.sockets) > maxSockets {
		clear(e.sockets)
	}
	rest := ownerOther
	held := map[uint64]owner{}
	if !p.collectSockets(root, ownerRoot, held) {
		rest = ownerUnknown
	}
	if slices.ContainsFunc(sockets, func(l listener) bool { return held[l.inode] == 0 }) {
		for _, pid := range p.descendants(root) {
			if !p.collectSockets(pid, ownerTree, held) {
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

// descendants returns the ids of the descendants of a process.
func (p *processes) descendants(root int) []int {
	var list []int
	for pid := range p.all {
		if pid != root && p.isBelow(pid, root) {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list[:min(len(list), maxTree)]
}

// collectSockets adds the open sockets of a process to held and reports whether they may be read.
func (p *processes) collectSockets(pid int, who owner, held map[uint64]owner) bool {
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
