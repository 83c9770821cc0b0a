package helptest

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Manager stands in for systemd: it has the socket of NOTIFY_SOCKET.
type Manager struct {
	Address string
	conn    *net.UnixConn
}

// NewManager opens the socket.
func NewManager(t *testing.T) *Manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") //nolint:usetesting // t.TempDir may be longer than a socket's name may be
	if err != nil {
		t.Fatal(err)
	}
	m := &Manager{Address: filepath.Join(dir, "notify")}
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.Address, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.conn.Close()
		_ = os.RemoveAll(dir)
	})
	return m
}

// Notified is a command of scripts: notified REGEXP... waits for a message that matches each, in this order, and skips others.
func (m *Manager) Notified(ts *testscript.TestScript, _ bool, args []string) {
	buf := make([]byte, 4096)
	for _, arg := range args {
		want, err := regexp.Compile(arg)
		ts.Check(err)
		ts.Check(m.conn.SetReadDeadline(time.Now().Add(time.Minute)))
		for {
			n, err := m.conn.Read(buf)
			if err != nil {
				ts.Fatalf("no message %q: %v", arg, err)
			}
			ts.Logf("message %q", buf[:n])
			if want.Match(buf[:n]) {
				break
			}
		}
	}
}
