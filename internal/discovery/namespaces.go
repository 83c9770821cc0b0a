package discovery

import (
	"bytes"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// machine knows which addresses and network namespaces are this machine's own.
type machine struct {
	proc  string
	names *resolver

	mu        sync.Mutex
	own       []string
	boot      int64
	addresses map[netip.Addr]bool
	at        time.Time
}

const addressesFor = 30 * time.Second

func newMachine(proc string) *machine { return &machine{proc: proc, names: newResolver()} }

// isOwn reports whether a network namespace, as procfs.network names it, is the one in which we are ourselves.
func (m *machine) isOwn(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.own) == 0 {
		// Below another root our own process may not be found: then the kernel's own /proc says it.
		for _, proc := range []string{m.proc, "/proc"} {
			if link := newProcfs(proc).network("self"); link != "" {
				m.own = []string{link, networkByFile(filepath.Join(proc, "self"))}
				break
			}
		}
	}
	return name != "" && slices.Contains(m.own, name)
}

// inHostNetwork reports whether we are in the network namespace of the machine's first process, so that ports published on
// its loopback address can be reached. Where that can't be seen, it is taken for granted.
func (m *machine) inHostNetwork() bool {
	first := newProcfs(m.proc).network("1")
	return first == "" || m.isOwn(first)
}

// runs reports whether a process is there.
func (m *machine) runs(pid int) bool {
	_, err := os.Stat(filepath.Join(m.proc, strconv.Itoa(pid)))
	return pid > 0 && err == nil
}

// bootTime returns when the machine booted, in Unix seconds; 0: unknown.
func (m *machine) bootTime() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.boot == 0 {
		// The line stands behind those of all cores and interrupts.
		if text, err := newProcfs(m.proc).read(m.proc+"/stat", maxSocketBytes, nil); err == nil {
			m.boot, _ = bootTime(text)
		}
	}
	return m.boot
}

// lastProcess returns the id that the machine gave last, or a number above all ids if it doesn't tell.
func (m *machine) lastProcess() int {
	text, err := newProcfs(m.proc).read(m.proc+"/loadavg", maxSocketBytes, nil)
	if err != nil {
		return math.MaxInt
	}
	fields := strings.Fields(string(text))
	if len(fields) != 5 {
		return math.MaxInt
	}
	id, err := strconv.Atoi(fields[4])
	if err != nil {
		return math.MaxInt
	}
	return id
}

// isLocal reports whether a host is this machine: a loopback address, one of its own addresses or its name.
func (m *machine) isLocal(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		name, err := os.Hostname()
		return err == nil && strings.EqualFold(name, host)
	}
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.addresses == nil || time.Since(m.at) > addressesFor {
		m.addresses, m.at = map[netip.Addr]bool{}, time.Now()
		list, err := net.InterfaceAddrs()
		if err != nil {
			return false
		}
		for _, a := range list {
			if n, ok := a.(*net.IPNet); ok {
				if own, ok := netip.AddrFromSlice(n.IP); ok {
					m.addresses[own.Unmap()] = true
				}
			}
		}
	}
	return m.addresses[addr]
}

// namespaces are the listening sockets and addresses of network namespaces, read at most once a round.
type namespaces struct {
	fs     *procfs
	listen map[string][]listener
	addrs  map[string][]netip.Addr
}

func newNamespaces(fs *procfs) *namespaces {
	return &namespaces{fs: fs, listen: map[string][]listener{}, addrs: map[string][]netip.Addr{}}
}

func (n *namespaces) reset() {
	clear(n.listen)
	clear(n.addrs)
}

// listeners returns the listening sockets of the namespace that a process is in.
func (n *namespaces) listeners(name string, pid int) []listener {
	if list, ok := n.listen[name]; ok && name != "" {
		return list
	}
	var list []listener
	for _, file := range []string{"net/tcp", "net/tcp6"} {
		if text, err := n.fs.sockets(pid, file); err == nil {
			list = appendListeners(list, text)
		}
	}
	n.listen[name] = list
	return list
}

// addresses returns the addresses of that namespace but for loopback ones, those of IPv4 first.
func (n *namespaces) addresses(name string, pid int) []netip.Addr {
	if list, ok := n.addrs[name]; ok && name != "" {
		return list
	}
	var list []netip.Addr
	if text, err := n.fs.read(n.fs.path(pid, "net/fib_trie"), maxTrieBytes, nil); err == nil {
		list = localAddresses(text)
	}
	if text, err := n.fs.read(n.fs.path(pid, "net/if_inet6"), maxTrieBytes, nil); err == nil {
		list = appendAddresses6(list, text)
	}
	n.addrs[name] = list
	return list
}

// host chooses the address at which a port can be reached from here, also if nothing listens there yet. own says whether the
// namespace is ours. lost is why it can't be reached at all, "" if it can.
func (n *namespaces) host(name string, pid, port int, own bool) (host netip.Addr, lost reason) {
	var bound []netip.Addr
	for _, l := range n.listeners(name, pid) {
		if l.port == port {
			bound = append(bound, l.addr)
		}
	}
	open := len(bound) > 0
	slices.SortFunc(bound, preferred)
	if own {
		host = loopback
		if open && !bound[0].IsUnspecified() {
			host = bound[0]
		}
		return host, ""
	}
	for _, addr := range bound {
		if !addr.IsUnspecified() && !addr.IsLoopback() {
			return addr, ""
		}
	}
	if open && !bound[0].IsUnspecified() {
		return netip.Addr{}, reasonLoopback
	}
	// A socket at :: mostly serves IPv4 too, one at 0.0.0.0 never IPv6.
	six := !open || slices.Contains(bound, netip.IPv6Unspecified())
	for _, addr := range n.addresses(name, pid) {
		if addr.Is4() || six {
			return addr, ""
		}
	}
	return netip.Addr{}, reasonNoAddress
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// preferred orders the addresses that a port is bound to: all of them first, then loopback, IPv4 before IPv6.
func preferred(a, b netip.Addr) int {
	rank := func(addr netip.Addr) int {
		r := 4
		switch {
		case addr.IsUnspecified():
			r = 0
		case addr.IsLoopback():
			r = 2
		}
		if addr.Is6() {
			r++
		}
		return r
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return a.Compare(b)
}

// sockets reads a list of sockets. The kernel writes the listening ones first, so on a machine with many connections the rest
// needn't be read: reading stops at the first piece that ends in a line of another kind.
func (f *procfs) sockets(pid int, name string) ([]byte, error) {
	return f.read(f.path(pid, name), maxSocketBytes, endsOtherwise)
}

const stateListen = "0A"

// endsOtherwise reports whether the last whole line of a list of sockets is neither a listening one nor the header.
func endsOtherwise(text []byte, _ bool) bool {
	end := bytes.LastIndexByte(text, '\n')
	if end < 0 {
		return false
	}
	line := text[bytes.LastIndexByte(text[:end], '\n')+1 : end]
	field := 0
	for word := range bytes.FieldsSeq(line) {
		if field == 3 {
			return string(word) != stateListen && string(word) != "st"
		}
		field++
	}
	return false
}
