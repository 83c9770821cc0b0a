package procnet

import (
	"bufio"
	"errors"
	"io"
	"net/netip"
	"sync"
)

// Errors of Owner.
var (
	ErrNotHere = errors.New("this system does not tell whose a connection is")
	ErrClosed  = errors.New("the process that made the connection has closed it")
	ErrUnknown = errors.New("the system lists no such connection")
)

// buffers hold a piece of a table; a line is 150 bytes long.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 32<<10) }}

// owner finds the user of the client's end of a connection in a text of /proc/net/tcp or tcp6.
func owner(client, server netip.AddrPort, table io.Reader) (uint32, error) {
	r := buffers.Get().(*bufio.Reader)
	r.Reset(table)
	defer func() {
		r.Reset(nil)
		buffers.Put(r)
	}()
	for {
		line, err := r.ReadSlice('\n')
		if s, ok := parseLine(line); ok && s.joins(client, server) {
			inode, ok := s.Inode()
			if !ok || inode == 0 {
				return 0, ErrClosed
			}
			uid, ok := s.UID()
			if !ok {
				return 0, ErrUnknown
			}
			return uid, nil
		}
		if errors.Is(err, io.EOF) {
			return 0, ErrUnknown
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, err
		}
	}
}

func (s Socket) joins(local, remote netip.AddrPort) bool {
	if a, ok := s.Local(); !ok || a != local {
		return false
	}
	a, ok := s.Remote()
	return ok && a == remote
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
