// Package procnet reads the sockets that Linux lists in /proc/net.
package procnet

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"net/netip"
	"strconv"
)

// Socket is a line of /proc/net/tcp or /proc/net/tcp6. Its parts are read when they are asked for.
type Socket struct{ local, remote, state, uid, inode []byte }

// Sockets returns the sockets that the text of /proc/net/tcp or tcp6 lists. Lines with too few fields, like the heading, are
// left out.
func Sockets(text []byte) iter.Seq[Socket] {
	return func(yield func(Socket) bool) {
		for line := range bytes.Lines(text) {
			if s, ok := parseLine(line); ok && !yield(s) {
				return
			}
		}
	}
}

func parseLine(line []byte) (s Socket, ok bool) {
	field := 0
	for word := range bytes.FieldsSeq(line) {
		switch field {
		case 1:
			s.local = word
		case 2:
			s.remote = word
		case 3:
			s.state = word
		case 7:
			s.uid = word
		case 9:
			s.inode = word
			return s, true
		}
		field++
	}
	return s, false
}

// Listens reports whether the socket waits for connections.
func (s Socket) Listens() bool { return string(s.state) == "0A" }

// Local returns the socket's own address; false when it cannot be read.
func (s Socket) Local() (netip.AddrPort, bool) { return parseAddress(s.local) }

// Remote returns the address of the socket's peer; false when it cannot be read.
func (s Socket) Remote() (netip.AddrPort, bool) { return parseAddress(s.remote) }

// UID returns the user of the socket. It is 0 too for a socket that no process holds any more, whose inode is 0.
func (s Socket) UID() (uint32, bool) {
	n, err := strconv.ParseUint(string(s.uid), 10, 32)
	return uint32(n), err == nil
}

// Inode returns the number of the socket's file; 0 when no process holds it any more.
func (s Socket) Inode() (uint64, bool) {
	n, err := strconv.ParseUint(string(s.inode), 10, 64)
	return n, err == nil
}

// parseAddress reads an address as 0100007F:1F40: words of 32 bits in the machine's byte order, and the port.
func parseAddress(text []byte) (netip.AddrPort, bool) {
	address, port, ok := bytes.Cut(text, []byte(":"))
	if !ok || (len(address) != 8 && len(address) != 32) || len(port) != 4 {
		return netip.AddrPort{}, false
	}
	var raw [16]byte
	n, err := hex.Decode(raw[:], address)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < n; i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	var number [2]byte
	if _, err := hex.Decode(number[:], port); err != nil {
		return netip.AddrPort{}, false
	}
	addr, ok := netip.AddrFromSlice(raw[:n])
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(number[:])), ok
}
