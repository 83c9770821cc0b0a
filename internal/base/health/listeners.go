package health

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/base/procnet"
)

// maxTable bounds what is read of a table of sockets: 400,000 of them.
const maxTable = 64 << 20

// Listeners returns the addresses at which the process waits for TCP connections.
func (p *Process) Listeners() ([]netip.AddrPort, error) {
	inodes, err := p.sockets()
	if err != nil {
		return nil, err
	}
	var list []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := readFile(filepath.Join(p.proc, "net", table), maxTable)
		if errors.Is(err, os.ErrNotExist) { // without IPv6
			continue
		}
		if err != nil {
			return nil, err
		}
		for s := range procnet.Sockets(text) {
			if !s.Listens() {
				continue
			}
			inode, known := s.Inode()
			address, ok := s.Local()
			if known && ok && inodes[inode] {
				list = append(list, address)
			}
		}
	}
	return list, nil
}

// sockets returns the inodes of the process' sockets.
func (p *Process) sockets() (map[uint64]bool, error) {
	dir, err := os.Open(filepath.Join(p.proc, "fd"))
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	inodes := map[uint64]bool{}
	for _, name := range names {
		link, err := os.Readlink(filepath.Join(p.proc, "fd", name))
		if err != nil {
			continue // closed meanwhile
		}
		number, ok := strings.CutPrefix(link, "socket:[")
		if inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64); ok && err == nil {
			inodes[inode] = true
		}
	}
	return inodes, nil
}
