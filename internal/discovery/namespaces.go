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

// machine knows the addresses and network namespaces of this machine and of the worker.
type machine struct {
	proc  string
	names *resolver

	mu            sync.Mutex
	ownNetworks   []string
	bootSeconds   int64
	addresses     map[netip.Addr]bool
	addressesRead time.Time
}

const addressesTTL = 30 * time.Second

func newMachine(proc string) *machine { return &machine{proc: proc, names: newResolver()} }

// isOwn reports whether a network namespace, as procfs.network names it, is the worker's.
func (m *machine) isOwn(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ownNetworks) == 0 {
		// A /proc below another root may not hold the worker's own process: then the real /proc does.
		for _, proc := range []string{m.proc, "/proc"} {
			if link := newProcfs(proc).network("self"); link != "" {
				m.ownNetworks = []string{link, networkByFile(filepath.Join(proc, "self"))}
				break
			}
		}
	}
	return name != "" && slices.Contains(m.ownNetworks, name)
}

// inHostNetwork reports whether the worker is in the network namespace of process 1, where it reaches ports that are published on
// the loopback address. It is true if that cannot be read.
func (m *machine) inHostNetwork() bool {
	first := newProcfs(m.proc).network("1")
	return first == "" || m.isOwn(first)
}

// runs reports whether a process exists.
func (m *machine) runs(pid int) bool {
	_, err := os.Stat(filepath.Join(m.proc, strconv.Itoa(pid)))
	return pid > 0 && err == nil
}

// bootTime returns when the machine booted, in Unix seconds; 0: unknown.
func (m *machine) bootTime() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bootSeconds == 0 {
		// btime comes after the lines of all cores and interrupts.
		if text, err := newProcfs(m.proc).read(m.proc+"/stat", maxSocketBytes, nil); err == nil {
			m.bootSeconds, _ = bootTime(text)
		}
	}
	return m.bootSeconds
}

// lastProcess returns the id of the machine's newest process, or a number above all ids if that is unknown.
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
	if m.addresses == nil || time.Since(m.addressesRead) > addressesTTL {
		m.addresses, m.addressesRead = map[netip.Addr]bool{}, time.Now()
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

// namespaces caches the listening sockets and addresses of network namespaces for one round.
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

// listeners returns the listening sockets of a namespace; pid is a process in it.
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

// addresses returns the addresses of a namespace without loopback ones, IPv4 first.
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

// reachableAddress returns the address by which the worker reaches a port, even if nothing listens there yet. own says whether the
// namespace is the worker's. why says why there is no such address, "" if there is one.
func (n *namespaces) reachableAddress(name string, pid, port int, own bool) (host netip.Addr, why skipReason) {
	var bound []netip.Addr
	for _, l := range n.listeners(name, pid) {
		if l.port == port {
			bound = append(bound, l.addr)
		}
	}
	open := len(bound) > 0
	slices.SortFunc(bound, compareAddresses)
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
		return netip.Addr{}, skipLoopback
	}
	// A socket at :: mostly serves IPv4 too, one at 0.0.0.0 never IPv6.
	allowIPv6 := !open || slices.Contains(bound, netip.IPv6Unspecified())
	for _, addr := range n.addresses(name, pid) {
		if addr.Is4() || allowIPv6 {
			return addr, ""
		}
	}
	return netip.Addr{}, skipNoAddress
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// compareAddresses orders the addresses that a port is bound to: the unspecified address first, then loopback, then others; IPv4
// before IPv6.
func compareAddresses(a, b netip.Addr) int {
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

// sockets reads the listening sockets of /proc/PID/net/tcp or tcp6. The kernel writes them before the connections, of which there may
// be many: reading stops at the first piece that ends in a connection.
func (f *procfs) sockets(pid int, name string) ([]byte, error) {
	return f.read(f.path(pid, name), maxSocketBytes, pastListeners)
}

const stateListen = "0A"

// pastListeners reports whether the last whole line of a list of sockets is neither a listening one nor the header.
func pastListeners(text []byte, _ bool) bool {
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
