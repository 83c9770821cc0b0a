package grafana

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simgrafana"
)

// envParent makes this test's binary a stackscope that runs the Grafana whose home the value names.
const envParent = "GRAFANA_PARENT"

func TestMain(m *testing.M) {
	simgrafana.Main()
	if home := os.Getenv(envParent); home != "" {
		beParent(home)
	}
	os.Exit(m.Run())
}

// beParent runs the Grafana of a home until it is killed.
func beParent(home string) {
	if err := os.Unsetenv(envParent); err != nil {
		os.Exit(5)
	}
	g, err := New(Options{Home: home, Dir: filepath.Join(home, "data"), PathPrefix: "/grafana", PrometheusURL: "http://127.0.0.1:1/prometheus", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		os.Exit(6)
	}
	go func() {
		for g.Status().Phase != PhaseRunning {
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Println(g.Status().PID)
	}()
	_ = g.Run(context.Background())
	os.Exit(7)
}

// logLines collects what is logged.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logLines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// awaitLine waits for a line of the log that has the part.
func awaitLine(t *testing.T, l *logLines, part string) string {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		for line := range strings.Lines(l.String()) {
			if strings.Contains(line, part) {
				return line
			}
		}
		if time.Now().After(end) {
			t.Fatalf("never logged %q", part)
		}
	}
}

// newFake makes a supervisor, with short times, of a stand-in that plays p.
func newFake(t *testing.T, p simgrafana.Play, change ...func(*Options)) (*Grafana, *logLines) {
	t.Helper()
	lines := new(logLines)
	o := Options{
		Home: simgrafana.Home(t), Dir: filepath.Join(t.TempDir(), "grafana"), PathPrefix: "/grafana", PrometheusURL: "http://127.0.0.1:1/prometheus",
		StopTimeout: 2 * time.Second, Environ: append(simgrafana.Environ(), "GOCOVERDIR="+t.TempDir()), Logger: lines.logger(),
	}
	simgrafana.Set(t, o.Home, p)
	for _, f := range change {
		f(&o)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	g.timing = timing{
		look: 20 * time.Millisecond, poll: 10 * time.Millisecond, start: 20 * time.Second,
		check: 20 * time.Millisecond, recheck: 10 * time.Millisecond, deadline: 2 * time.Second, settle: 300 * time.Millisecond, misses: 3, grace: 300 * time.Millisecond,
		minWait: 20 * time.Millisecond, maxWait: 80 * time.Millisecond, calm: time.Hour, leftover: 100 * time.Millisecond,
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", lines)
		}
	})
	return g, lines
}

// run runs g until the returned function is called.
func run(t *testing.T, g *Grafana) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

// await waits for a status.
func await(t *testing.T, g *Grafana, what string, is func(Status) bool) Status {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := g.Status()
		if is(s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("never %s: %+v", what, s)
		}
	}
}

func running(s Status) bool { return s.Phase == PhaseRunning }
func waiting(s Status) bool { return s.Phase == PhaseWaiting }

// alive reports whether there is such a process that has not ended.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func data(g *Grafana, name string) string { return filepath.Join(g.opts.Dir, name) }

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
