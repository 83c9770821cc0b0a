package grafana

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Variables by which this test's binary becomes another program.
const (
	envFake   = "FAKE_GRAFANA"        // a Grafana that behaves as the value says
	envParent = "FAKE_GRAFANA_PARENT" // a stackscope that runs the fake Grafana in the folder of the value
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envParent); dir != "" {
		beParent(dir)
	}
	if mode := os.Getenv(envFake); mode != "" && len(os.Args) > 1 && (os.Args[1] == "server" || os.Args[1] == "cli") {
		beGrafana(mode)
	}
	os.Exit(m.Run())
}

// beGrafana plays a Grafana.
func beGrafana(mode string) {
	data := os.Getenv("GF_PATHS_DATA")
	if os.Args[1] == "cli" {
		beCommandLine(data)
	}
	addr := net.JoinHostPort(os.Getenv("GF_SERVER_HTTP_ADDR"), os.Getenv("GF_SERVER_HTTP_PORT"))
	switch mode {
	case "exits":
		fmt.Println(`{"level":"error","logger":"server","msg":"Something small","error":"context canceled"}`)
		fmt.Fprintln(os.Stderr, "Error: ✗ the cellar is under water")
		os.Exit(1)
	case "newer":
		fmt.Println(`{"level":"error","logger":"migrator","msg":"Executing migration failed","error":"duplicate column name: help_flags1"}`)
		fmt.Fprintln(os.Stderr, "Error: ✗ migration failed (id = Add column help_flags1 to user table): duplicate column name: help_flags1")
		os.Exit(1)
	case "full disk":
		fmt.Fprintln(os.Stderr, "Error: ✗ migration failed (id = create index): database or disk is full")
		os.Exit(1)
	case "read-only":
		fmt.Fprintln(os.Stderr, "Error: ✗ migration failed (id = create index): attempt to write a readonly database")
		os.Exit(1)
	case "loses its port":
		fmt.Fprintf(os.Stderr, "Error: ✗ *api.HTTPServer run error: failed to open listener on address %s: listen tcp %[1]s: bind: address already in use\n", addr)
		os.Exit(1)
	case "hangs":
		time.Sleep(time.Hour)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	_ = os.WriteFile(filepath.Join(data, "grafana.db"), nil, 0o600)
	_ = os.WriteFile(filepath.Join(data, "first-password"), []byte(os.Getenv(envAdminPassword)), 0o600)
	mux := http.NewServeMux()
	mux.HandleFunc("/grafana/api/health", func(w http.ResponseWriter, r *http.Request) {
		if mode == "sick" {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"database":"failing","version":"10.9.8"}`)
			return
		}
		if _, err := os.Stat(filepath.Join(data, "deaf")); err == nil {
			<-r.Context().Done()
		}
		fmt.Fprint(w, `{"commit":"x","database":"ok","version":"10.9.8"}`)
		if mode == "dies" {
			go func() {
				time.Sleep(200 * time.Millisecond)
				fmt.Println(`{"level":"error","logger":"server","msg":"The roof came down","error":"snow"}`)
				os.Exit(3)
			}()
		}
	})
	begun := time.Now()
	mux.HandleFunc("/grafana/api/search", func(w http.ResponseWriter, r *http.Request) {
		uids := r.URL.Query()["dashboardUIDs"]
		if mode == "slow dashboards" && time.Since(begun) < 200*time.Millisecond || mode == "no dashboards" {
			uids = uids[1:]
		}
		fmt.Fprintf(w, `[{"uid":"%s"}]`, strings.Join(uids, `"},{"uid":"`))
	})
	_ = http.ListenAndServe(addr, mux)
	os.Exit(4)
}

// beCommandLine plays `grafana cli`: it notes how it was called.
func beCommandLine(data string) {
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	_ = os.WriteFile(filepath.Join(data, "cli.txt"), []byte(strings.Join(os.Args[1:], " ")+"\n"+line), 0o600)
	if _, err := os.Stat(filepath.Join(data, "cli-fails")); err == nil {
		fmt.Fprintln(os.Stderr, "Error: ✗ the lock is rusty")
		os.Exit(1)
	}
	os.Exit(0)
}

// beParent runs the fake Grafana that lives in dir until it is killed.
func beParent(dir string) {
	if err := os.Unsetenv(envParent); err != nil {
		os.Exit(5)
	}
	g, err := New(Options{Home: dir, Dir: filepath.Join(dir, "data"), PathPrefix: "/grafana", PrometheusURL: "http://127.0.0.1:1/prometheus", Logger: slog.New(slog.DiscardHandler)})
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

// fakeHome makes a home whose program is this test's binary.
func fakeHome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	furnish(t, dir)
	return dir
}

func furnish(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"conf", "public", "bin"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "conf", "defaults.ini"), []byte("app_mode = production\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "bin", "grafana")); err != nil {
		t.Fatal(err)
	}
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

// newFake makes a supervisor, with short times, of a fake Grafana that behaves as mode says.
func newFake(t *testing.T, mode string, change ...func(*Options)) (*Grafana, *logLines) {
	t.Helper()
	lines := new(logLines)
	o := Options{
		Dir: filepath.Join(t.TempDir(), "grafana"), PathPrefix: "/grafana", PrometheusURL: "http://127.0.0.1:1/prometheus",
		StopTimeout: 2 * time.Second, Environ: append(os.Environ(), envFake+"="+mode, "GOCOVERDIR="+t.TempDir()), Logger: lines.logger(),
	}
	o.Home = fakeHome(t)
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

// run runs g until the returned function is called, which returns how long that took.
func run(t *testing.T, g *Grafana) (stop func() time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop = sync.OnceValue(func() time.Duration {
		begun := time.Now()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not return")
		}
		return time.Since(begun)
	})
	t.Cleanup(func() { stop() })
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
