package discovery

import (
	"bytes"
	"encoding/hex"
	"math"
	"net/netip"

	"github.com/stackscope/stackscope/internal/base/procnet"
)

// maxListeners bounds the listening sockets of one network namespace.
const maxListeners = 4096

// listener is a listening TCP socket.
type listener struct {
	addr  netip.Addr
	port  int
	inode uint64
}

// appendListeners appends the listening sockets in the text of /proc/PID/net/tcp or tcp6. Malformed lines are skipped.
func appendListeners(dst []listener, text []byte) []listener {
	for s := range procnet.Sockets(text) {
		if len(dst) == maxListeners {
			break
		}
		if !s.Listens() {
			continue
		}
		addr, ok := s.Local()
		inode, ok2 := s.Inode()
		if ok && ok2 && addr.Port() != 0 {
			dst = append(dst, listener{addr.Addr(), int(addr.Port()), inode})
		}
	}
	return dst
}

// socketInode parses the target of a file descriptor's link: socket:[12345].
func socketInode(target string) (uint64, bool) {
	rest, ok := bytes.CutPrefix([]byte(target), []byte("socket:["))
	if !ok {
		return 0, false
	}
	rest, ok = bytes.CutSuffix(rest, []byte("]"))
	if !ok {
		return 0, false
	}
	inode, ok := parseUint(rest)
	return inode, ok && inode < math.MaxUint64
}

// maxAddresses bounds the addresses of one network namespace.
const maxAddresses = 64

// localAddresses returns the IPv4 addresses in the text of /proc/PID/net/fib_trie, without loopback and link-local ones, in order. A
// line "|-- 172.17.0.2" holds an address, the lines below it its kind.
func localAddresses(text []byte) []netip.Addr {
	var found []netip.Addr
	var last netip.Addr
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if rest, ok := bytes.CutPrefix(line, []byte("|-- ")); ok {
			last, _ = netip.ParseAddr(string(rest[:min(len(rest), 15)]))
			continue
		}
		if !bytes.Equal(line, []byte("/32 host LOCAL")) || !last.Is4() || last.IsLoopback() || last.IsLinkLocalUnicast() || last.IsUnspecified() {
			continue
		}
		// The tables main and local may both hold it.
		seen := false
		for _, addr := range found {
			seen = seen || addr == last
		}
		if !seen {
			found = append(found, last)
		}
		if len(found) == maxAddresses {
			break
		}
	}
	return found
}

// appendAddresses6 appends the usable IPv6 addresses of global scope in the text of /proc/PID/net/if_inet6. A line holds the address in
// hexadecimal, the interface's number, prefix length, scope, flags and the interface's name.
func appendAddresses6(dst []netip.Addr, text []byte) []netip.Addr {
	const (
		unusable = 0x08 | 0x40 // dadfailed: another machine has it; tentative: not known yet
		fields   = 6
	)
	for line := range bytes.Lines(text) {
		var raw [16]byte
		var flags [1]byte
		words := bytes.Fields(line[:min(len(line), 128)])
		if len(dst) >= maxAddresses || len(words) != fields || len(words[0]) != 2*len(raw) || string(words[3]) != "00" || len(words[4]) != 2 {
			continue
		}
		if _, err := hex.Decode(raw[:], words[0]); err != nil {
			continue
		}
		if _, err := hex.Decode(flags[:], words[4]); err != nil || flags[0]&unusable != 0 {
			continue
		}
		if addr := netip.AddrFrom16(raw); addr.IsGlobalUnicast() {
			dst = append(dst, addr)
		}
	}
	return dst
}
