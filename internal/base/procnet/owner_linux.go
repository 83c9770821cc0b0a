package procnet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
)

const (
	// maxTable bounds what is read of a table: 400,000 sockets.
	maxTable = 64 << 20
	// A table that changes while it is read can leave a line out.
	attempts = 2
)

// slots bounds how many read the tables at once: they are as long as the machine has connections.
var slots = make(chan struct{}, 2)

// Owner returns the user of the process that holds the client's end of a TCP connection within this machine. It reads
// /proc/net/tcp and tcp6 of this process's network namespace; users are numbered as this process sees them. It fails with
// ErrClosed when no process holds that end any more (the system then says user 0), and with ErrUnknown when the connection isn't
// listed.
func Owner(client, server netip.AddrPort) (uint32, error) {
	slots <- struct{}{}
	defer func() { <-slots }()
	client, server = unmapped(client), unmapped(server)
	for range attempts {
		for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
			if uid, err := ownerIn(path, client, server); !errors.Is(err, ErrUnknown) {
				return uid, err
			}
		}
	}
	return 0, ErrUnknown
}

// ownerIn looks into one table. One that isn't there, as without IPv6, lists nothing.
func ownerIn(path string, client, server netip.AddrPort) (uint32, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrUnknown
	}
	if err != nil {
		return 0, fmt.Errorf("the table of connections: %w", err)
	}
	defer func() { _ = f.Close() }()
	return owner(client, server, io.LimitReader(f, maxTable))
}
