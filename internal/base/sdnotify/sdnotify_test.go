package sdnotify

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// socket makes a manager's socket, names it in the environment, and returns it.
func socket(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", address)
	return conn
}

func next(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") //nolint:usetesting // t.TempDir may be longer than a socket's name may be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "notify")
}

func TestSocketGetsWhatHappens(t *testing.T) {
	for name, address := range map[string]string{"path": short(t), "abstract": "@stackscope-test-" + strconv.Itoa(os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			conn := socket(t, address)
			t.Setenv("WATCHDOG_USEC", "40000") // 40 ms
			t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
			m, err := FromEnvironment()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
				if value, ok := os.LookupEnv(name); ok {
					t.Errorf("%s=%s stays in the environment, for the programs that this one starts", name, value)
				}
			}
			var workers atomic.Int32
			stop := m.Tell(t.Context(), Program{
				Alive:  func(context.Context) error { return nil },
				Status: func() string { return "serves\n" + strconv.Itoa(int(workers.Load())) + " workers" },
				Logger: slog.New(slog.DiscardHandler),
			})
			if got := next(t, conn); got != "READY=1\nWATCHDOG=1\nSTATUS=serves 0 workers" {
				t.Errorf("first: %q", got)
			}
			if got := next(t, conn); got != "WATCHDOG=1" {
				t.Errorf("second, with the same status: %q", got)
			}
			workers.Store(3)
			for got := ""; got != "WATCHDOG=1\nSTATUS=serves 3 workers"; {
				if got = next(t, conn); !strings.HasPrefix(got, "WATCHDOG=1") {
					t.Fatalf("with another status: %q", got)
				}
			}
			stop()
			got := next(t, conn)
			for got == "WATCHDOG=1" {
				got = next(t, conn)
			}
			if got != "STOPPING=1\nSTATUS=stopping" {
				t.Errorf("last: %q", got)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000")
	m, err := FromEnvironment()
	if m != nil || err != nil {
		t.Errorf("without a socket: %v, %v", m, err)
	}
	m.Tell(t.Context(), Program{})() // nothing is asked, and nothing fails
	for _, c := range []struct{ socket, watchdog, pid, want string }{
		{"relative", "", "", `NOTIFY_SOCKET is "relative": it must be a path`},
		{"/no/such/socket", "", "", "NOTIFY_SOCKET /no/such/socket"},
		{"", "soon", "", `WATCHDOG_USEC is "soon"`},
		{"", "0", "", `WATCHDOG_USEC is "0"`},
	} {
		path := c.socket
		if path == "" {
			path = short(t)
			socket(t, path)
		}
		t.Setenv("NOTIFY_SOCKET", path)
		t.Setenv("WATCHDOG_USEC", c.watchdog)
		if _, err := FromEnvironment(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	socket(t, short(t))
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", "1") // another process is watched
	if m, err = FromEnvironment(); err != nil || m.watchdog != 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

// sent is a connection that keeps what is written, with the time.
type sent struct {
	net.Conn
	began time.Time
	lines []string
	fail  atomic.Bool
}

func (s *sent) SetWriteDeadline(time.Time) error { return nil }

func (s *sent) Write(b []byte) (int, error) {
	if s.fail.Load() {
		return 0, errors.New("no buffer space")
	}
	s.lines = append(s.lines, time.Since(s.began).String()+" "+strings.ReplaceAll(string(b), "\n", " "))
	return len(b), nil
}

// TestWatchdog: signs of life come at half of the interval, and only while the program answers.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &sent{began: time.Now()}
		m := &Manager{conn: conn, watchdog: time.Minute}
		ctx, cancel := context.WithCancel(t.Context())
		stop := m.Tell(ctx, Program{
			Alive: func(ctx context.Context) error {
				switch at := time.Since(conn.began); {
				case at < 1500*time.Millisecond:
					return errors.New("it opens its data")
				case at > 50*time.Second && at < 100*time.Second: // it hangs
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			},
			Status: func() string { return "fine" },
			Logger: slog.New(slog.DiscardHandler),
		})
		time.Sleep(150 * time.Second)
		synctest.Wait()
		cancel()
		stop()
		want := []string{
			"2s READY=1 WATCHDOG=1 STATUS=fine",
			"32s WATCHDOG=1",
			// 62s: it hangs for 15 s, a second of pause, and so on: 78s, 94s
			"1m50s WATCHDOG=1",
			"2m20s WATCHDOG=1",
			"2m30s STOPPING=1 STATUS=stopping",
		}
		if diff := cmp.Diff(want, conn.lines); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestWithoutWatchdog: the status is told all the same, and what cannot be sent is sent again.
func TestWithoutWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &sent{began: time.Now()}
		conn.fail.Store(true)
		m := &Manager{conn: conn}
		stop := m.Tell(t.Context(), Program{
			Alive:  func(context.Context) error { return nil },
			Status: func() string { return strings.Repeat("ü", 300) },
			Logger: slog.New(slog.DiscardHandler),
		})
		time.Sleep(1500 * time.Millisecond)
		conn.fail.Store(false)
		time.Sleep(time.Second)
		stop()
		if len(conn.lines) != 2 || !strings.HasPrefix(conn.lines[0], "2s READY=1 WATCHDOG=1 STATUS=üü") || len(conn.lines[0]) > maxStatus+50 {
			t.Errorf("%q", conn.lines)
		}
	})
}
