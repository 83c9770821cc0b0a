package grafana

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/simgrafana"
)

func samples(g *Grafana) map[string]string {
	var w exposition.Writer
	g.WriteMetrics(&w)
	m := map[string]string{}
	for line := range strings.Lines(string(w.Bytes())) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			m[strings.TrimPrefix(name, "stackscope_grafana_")] = value
		}
	}
	return m
}

func TestStartsAnswersAndStops(t *testing.T) {
	g, lines := newFake(t, simgrafana.Play{Version: "10.4.2", StartUp: 50 * time.Millisecond, Migration: 50 * time.Millisecond})
	if s := g.Status(); s.Phase != PhaseStopped || s.Home == "" {
		t.Errorf("before Run: %+v", s)
	}
	begun := time.Now()
	stop := run(t, g)
	s := await(t, g, "running", running)
	most := time.Since(begun).Seconds()
	if s.Version != "10.4.2" || s.PID == 0 || s.Restarts != 0 || s.Reason != "" || s.Since.IsZero() {
		t.Errorf("running: %+v", s)
	}
	addr, ok := g.upstream()
	if !ok || !strings.HasPrefix(addr, "127.0.0.1:") {
		t.Errorf("upstream %q, %v", addr, ok)
	}
	m := samples(g)
	if took, err := strconv.ParseFloat(m["start_duration_seconds"], 64); err != nil || took < 0.1 || took > most {
		t.Errorf("its start took %q s, want at least the 0.1 s of it and at most %g s", m["start_duration_seconds"], most)
	}
	delete(m, "start_duration_seconds")
	want := map[string]string{"up": "1", "starts_total": "1", `failures_total{reason="start"}`: "0", `failures_total{reason="exit"}`: "0", `failures_total{reason="unresponsive"}`: "0"}
	if d := cmp.Diff(want, m); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
	if group, err := syscall.Getpgid(s.PID); err != nil || group != s.PID {
		t.Errorf("its process group is %d, %v: a terminal's Ctrl-C would reach it", group, err)
	}
	stop()
	if alive(s.PID) {
		t.Error("it is still there")
	}
	if !strings.Contains(lines.String(), "System signal: terminated") {
		t.Error("it was not asked to end")
	}
	if s := g.Status(); s.Phase != PhaseStopped || s.PID != 0 || s.Version != "10.4.2" || s.Home != g.opts.Home || samples(g)["up"] != "0" {
		t.Errorf("stopped: %+v", s)
	}
	if _, ok := g.upstream(); ok {
		t.Error("there is an upstream after the end")
	}
	if exists(data(g, pidFile)) {
		t.Error("the pid file is still there")
	}
	if !strings.Contains(lines.String(), "grafana answers") || !strings.Contains(lines.String(), "well-known password") {
		t.Error("the log lacks what it should say")
	}
}

func TestSaysWhyItDoesNotRun(t *testing.T) {
	write := func(text string) func(*testing.T, *Grafana) {
		return func(t *testing.T, g *Grafana) {
			t.Helper()
			touch(t, data(g, "grafana.db"))
			if err := os.WriteFile(data(g, "grafana.db"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	const damaged = "its database DIR/grafana.db is of another Grafana version or damaged; run that version (--grafana-home)"
	cases := map[string]struct {
		play   simgrafana.Play
		before func(*testing.T, *Grafana)
		later  simgrafana.Play // once it runs
		reason string
		kind   kind
	}{
		"exits": {play: simgrafana.Play{Ends: "the listener has no certificate"}, reason: "the listener has no certificate"},
		"newer database": {
			before: func(t *testing.T, g *Grafana) {
				t.Helper()
				simgrafana.Set(t, g.opts.Home, simgrafana.Play{Version: "13.0.0"})
				runOnce(t, g)
				simgrafana.Set(t, g.opts.Home, simgrafana.Play{Version: "12.4.0"})
			},
			reason: "duplicate column name: help_flags1: " + damaged,
		},
		"no database":      {before: write("this is no database at all, by any means"), reason: "file is not a database: " + damaged},
		"damaged database": {before: write("SQLite format 3\x00{"), reason: "database disk image is malformed: " + damaged},
		"no database file": {
			before: func(t *testing.T, g *Grafana) {
				t.Helper()
				if err := os.MkdirAll(data(g, "grafana.db"), 0o750); err != nil {
					t.Fatal(err)
				}
			},
			reason: "let the user that stackscope runs as write to DIR",
		},
		"full disk":                   {play: simgrafana.Play{Disk: simgrafana.DiskFull}, reason: "database or disk is full: free space on the disk that holds DIR, or choose another with --data-dir"},
		"read-only":                   {play: simgrafana.Play{Disk: simgrafana.DiskReadOnly}, reason: "attempt to write a readonly database: let the user that stackscope runs as write to DIR"},
		"loses its port":              {play: simgrafana.Play{PortTaken: true}, reason: "is taken by another program: stop that program or choose another port with --builtin-grafana-port"},
		"hangs":                       {play: simgrafana.Play{Hangs: true}, reason: "it did not answer within 700ms of its start: "},
		"unhealthy":                   {play: simgrafana.Play{Unhealthy: true}, reason: "it did not answer within 700ms of its start: it answers 503 Service Unavailable: its database is failing"},
		"unresponsive from the start": {play: simgrafana.Play{Unresponsive: true}, reason: "it did not answer within 700ms of its start: "},
		"dies":                        {later: simgrafana.Play{Dies: "the scheduler panicked"}, reason: "A service failed: the scheduler panicked", kind: kindExit},
		"operator's provisioning": {
			before: func(t *testing.T, g *Grafana) {
				t.Helper()
				path := data(g, provisioningDir+"/datasources/theirs.yaml")
				touch(t, path)
				if err := os.WriteFile(path, []byte("apiVersion: 1\ndatasources: [{name: x, type: prometheus, isDefault: true}]\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			reason: "only one datasource per organization can be marked as default",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g, _ := newFake(t, c.play)
			if c.before != nil {
				c.before(t, g)
			}
			if strings.Contains(c.reason, "within 700ms") {
				g.timing.start = 700 * time.Millisecond
			}
			g.timing.misses = 1000 // a health check may be faster than the end of the process
			stop := run(t, g)
			if c.later != (simgrafana.Play{}) {
				await(t, g, "running", running)
				simgrafana.Set(t, g.opts.Home, c.later)
			}
			s := await(t, g, "waiting", waiting)
			want := strings.ReplaceAll(c.reason, "DIR", g.opts.Dir)
			if !strings.Contains(s.Reason, want) || strings.Contains(s.Reason, "\n") {
				t.Errorf("reason %q, want %q", s.Reason, want)
			}
			if s.Next.Before(s.Since) {
				t.Errorf("waits since %s for a start at %s", s.Since, s.Next)
			}
			await(t, g, "started again", func(s Status) bool { return s.Restarts >= 1 })
			stop()
			if n := samples(g)[`failures_total{reason="`+c.kind.String()+`"}`]; n == "0" || n == "" {
				t.Errorf("failures: %v", samples(g))
			}
		})
	}
}

// Whatever words the system, SQLite and Grafana have for it, what can be done is said with it.
func TestAdvice(t *testing.T) {
	g := &Grafana{opts: Options{Dir: "/data/grafana"}}
	const (
		room    = ": free space on the disk that holds /data/grafana, or choose another with --data-dir"
		rights  = ": let the user that stackscope runs as write to /data/grafana and all files in it, or choose another directory with --data-dir"
		another = ": its database /data/grafana/grafana.db is of another Grafana version or damaged; run that version (--grafana-home), or move the database away to start with an empty one"
	)
	for reason, advice := range map[string]string{
		"database or disk is full (13)":                             room,
		"write /data/grafana/grafana.db: no space left on device":   room,
		"write /data/grafana/grafana.db: disk quota exceeded":       room,
		"write /data/grafana/grafana.db: disc quota exceeded":       room, // macOS
		"migration failed (id = a): database or disk is full":       room,
		"attempt to write a readonly database (8)":                  rights,
		"mkdir /data/grafana/plugins: read-only file system":        rights,
		"unable to open database file: out of memory (14)":          rights,
		"migration failed (id = a): something":                      another,
		"SQL logic error: no such column: is_service_account (1)":   another,
		"SQL logic error: no such table: migration_log (1)":         another,
		"SQL logic error: duplicate column name: help_flags1 (1)":   another,
		"file is not a database (26)":                               another,
		"database disk image is malformed (11)":                     another,
		"exit status 1; its last output: Segmentation fault":        "",
		"it was killed (signal: killed)":                            "",
		"the disk is slow, and the database is locked, but not bad": "",
	} {
		if got := g.advise(reason, 3000); got != reason+advice {
			t.Errorf("%s: %q, want %q", reason, strings.TrimPrefix(got, reason), advice)
		}
	}
	const taken = "listen tcp 127.0.0.1:3000: bind: address already in use"
	if got := g.advise(taken, 3000); !strings.Contains(got, "port 3000 on 127.0.0.1 is taken by another program: ") {
		t.Errorf("%s: %q", taken, got)
	}
}

// What its parts say when they get into each other's way while it starts is nothing to be told of: it runs.
func TestRunsThoughItsDatabaseIsLockedAtTheStart(t *testing.T) {
	g, lines := newFake(t, simgrafana.Play{Locked: true})
	runOnce(t, g)
	if !strings.Contains(lines.String(), "database is locked") || strings.Contains(lines.String(), "level=ERROR") {
		t.Errorf("log:\n%s", lines)
	}
}

// Grafana answers before it has taken up the dashboards; who opened one then would be told that it isn't there.
func TestRunsWhenItsDashboardsAreThere(t *testing.T) {
	for name, c := range map[string]struct {
		takes int
		there bool
	}{"slow": {3, true}, "never": {-1, false}} {
		t.Run(name, func(t *testing.T) {
			g, _ := newFake(t, simgrafana.Play{Takes: c.takes})
			if c.there {
				g.timing.settle = time.Hour
			}
			run(t, g)
			await(t, g, "running", running)
			for _, uid := range dashboardUIDs() {
				status, _ := call(t, g, "", http.MethodGet, "/api/dashboards/uid/"+uid, "")
				if (status == http.StatusOK) != c.there {
					t.Errorf("%s: %d", uid, status)
				}
			}
		})
	}
}

func TestStopDuringStart(t *testing.T) {
	g, _ := newFake(t, simgrafana.Play{Hangs: true})
	stop := run(t, g)
	s := await(t, g, "starting", func(s Status) bool { return s.Phase == PhaseStarting })
	if _, ok := g.upstream(); ok {
		t.Error("a Grafana that doesn't answer yet is upstream")
	}
	stop()
	if alive(s.PID) {
		t.Error("it is still there")
	}
}

func TestUnresponsiveIsEndedAndStartedAgain(t *testing.T) {
	g, _ := newFake(t, simgrafana.Play{IgnoresSIGTERM: true})
	g.timing.deadline = 500 * time.Millisecond
	run(t, g)
	s := await(t, g, "running", running)
	simgrafana.Set(t, g.opts.Home, simgrafana.Play{IgnoresSIGTERM: true, Unresponsive: true})
	e := await(t, g, "being ended", func(s Status) bool { return !running(s) })
	if e.Phase != PhaseStarting || e.Version != s.Version || e.Home != s.Home || e.PID != s.PID {
		t.Errorf("while it is ended: %+v", e)
	}
	if !strings.HasPrefix(e.Reason, "it failed 3 health checks in a row: ") || !strings.HasSuffix(e.Reason, "; it is being restarted") {
		t.Errorf("while it is ended: reason %q", e.Reason)
	}
	w := await(t, g, "waiting", waiting)
	if !strings.HasPrefix(w.Reason, "it failed 3 health checks in a row: no answer within ") {
		t.Errorf("reason %q", w.Reason)
	}
	if w.Version != s.Version || w.Home != s.Home || w.PID != 0 {
		t.Errorf("waiting: %+v", w)
	}
	if alive(s.PID) {
		t.Error("the first is still there")
	}
	simgrafana.Set(t, g.opts.Home, simgrafana.Play{})
	if again := await(t, g, "running again", running); again.PID == s.PID || samples(g)[`failures_total{reason="unresponsive"}`] == "0" {
		t.Errorf("again %+v, %v", again, samples(g))
	}
}

func TestKilledIsBackAtOnce(t *testing.T) {
	g, lines := newFake(t, simgrafana.Play{})
	run(t, g)
	s := await(t, g, "running", running)
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := await(t, g, "running again", func(n Status) bool { return running(n) && n.PID != s.PID })
	if again.Restarts != 1 || !strings.Contains(lines.String(), "it was killed (signal: killed)") {
		t.Errorf("again %+v", again)
	}
}

func TestTakenPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	g, _ := newFake(t, simgrafana.Play{}, func(o *Options) { o.Port = port })
	run(t, g)
	s := await(t, g, "waiting", waiting)
	if want := fmt.Sprintf("port %d on 127.0.0.1 is taken by another program: stop that program or choose another port with --builtin-grafana-port", port); s.Reason != want {
		t.Errorf("reason %q, want %q", s.Reason, want)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, g, "running", running)
	if addr, _ := g.upstream(); addr != fmt.Sprintf("127.0.0.1:%d", port) {
		t.Errorf("it is at %s", addr)
	}
}

func TestLeftoverIsNamed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a process' environment")
	}
	g, _ := newFake(t, simgrafana.Play{})
	old := exec.Command("sleep", "60")
	old.Env = []string{"GF_PATHS_DATA=" + g.opts.Dir}
	if err := old.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Wait() }()
	defer func() { _ = old.Process.Kill() }()
	touch(t, data(g, "x"))
	if err := os.WriteFile(data(g, pidFile), []byte(strconv.Itoa(old.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, g)
	s := await(t, g, "waiting", waiting)
	if want := fmt.Sprintf("the Grafana of an earlier run still uses %s: stop process %d", g.opts.Dir, old.Process.Pid); s.Reason != want {
		t.Errorf("reason %q, want %q", s.Reason, want)
	}
	_ = old.Process.Kill()
	_ = old.Wait()
	await(t, g, "running", running)
}

func TestInstalledWhileRunning(t *testing.T) {
	later := filepath.Join(t.TempDir(), "later")
	g, _ := newFake(t, simgrafana.Play{}, func(o *Options) {
		o.Home, o.Searched = "", []string{later}
		o.Environ = append(o.Environ, "PATH=")
	})
	if s := g.Status(); s.Phase != PhaseAbsent {
		t.Skipf("this machine has a Grafana of its own: %+v", s)
	}
	if m := samples(g); len(m) != 0 {
		t.Errorf("metrics without a Grafana: %v", m)
	}
	run(t, g)
	if err := simgrafana.Furnish(later); err != nil {
		t.Fatal(err)
	}
	if s := await(t, g, "running", running); s.Home != later {
		t.Errorf("%+v", s)
	}
}

func TestGivenHomeThatBreaksLater(t *testing.T) {
	g, _ := newFake(t, simgrafana.Play{})
	if err := os.RemoveAll(filepath.Join(g.opts.Home, "public")); err != nil {
		t.Fatal(err)
	}
	run(t, g)
	s := await(t, g, "waiting", waiting)
	if want := "--grafana-home " + g.opts.Home + " lacks public/: "; !strings.HasPrefix(s.Reason, want) {
		t.Errorf("reason %q, want %q", s.Reason, want)
	}
}

func TestDataDirectoryThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	touch(t, file)
	g, _ := newFake(t, simgrafana.Play{}, func(o *Options) { o.Dir = filepath.Join(file, "grafana") })
	run(t, g)
	if s := await(t, g, "waiting", waiting); !strings.Contains(s.Reason, "cannot be made (not a directory)") {
		t.Errorf("reason %q", s.Reason)
	}
}

func TestHealthCheckKnowsGrafanaFromOthers(t *testing.T) {
	g, _ := newFake(t, simgrafana.Play{})
	answer := func(status int, body string) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/grafana/api/health" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})}
		go func() { _ = server.Serve(ln) }()
		defer func() { _ = server.Close() }()
		version, err := g.check(t.Context(), ln.Addr().String(), time.Second)
		if err != nil {
			return err.Error()
		}
		return "ok " + version
	}
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{200, `{"database":"ok","version":"12.1.0"}`, "ok 12.1.0"},
		{200, `{"database":"ok"}`, "ok "},
		{503, `{"database":"failing"}`, "it answers 503 Service Unavailable: its database is failing"},
		{200, `<html>hello`, "it answers 200 OK to /api/health, and not as a Grafana does"},
		{404, ``, "it answers 404 Not Found to /api/health, and not as a Grafana does"},
		{302, `{}`, "it answers 302 Found to /api/health, and not as a Grafana does"},
	} {
		if got := answer(c.status, c.body); got != c.want {
			t.Errorf("%d %s: %q, want %q", c.status, c.body, got, c.want)
		}
	}
	if _, err := g.check(t.Context(), "127.0.0.1:1", time.Second); err == nil || strings.Contains(err.Error(), "http://") {
		t.Errorf("nobody there: %v", err)
	}
}

// Packages of Grafana 13.2 and newer keep the plugin of our datasource outside the home, where Grafana finds it only when told.
func TestPluginsOfAPackage(t *testing.T) {
	packaged := t.TempDir()
	for _, c := range []struct {
		name    string
		inHome  bool
		set     string
		known   bool
		version string
	}{
		{"in the home", true, "", true, "13.2.2"},
		{"beside it", false, "", true, "13.2.2"},
		{"where the operator says", false, t.TempDir(), false, "13.2.2"},
		{"a part of the program", false, t.TempDir(), true, "12.4.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, _ := newFake(t, simgrafana.Play{Version: c.version}, func(o *Options) {
				if c.set != "" {
					o.Environ = append(o.Environ, envBundledPlugins+"="+c.set)
				}
			})
			g.packagedPlugins = packaged
			if !c.inHome {
				from := filepath.Join(g.opts.Home, "data", "plugins-bundled", "prometheus")
				if err := os.CopyFS(filepath.Join(packaged, "prometheus"), os.DirFS(from)); err != nil && !errors.Is(err, fs.ErrExist) {
					t.Fatal(err)
				}
				if err := os.RemoveAll(from); err != nil {
					t.Fatal(err)
				}
			}
			run(t, g)
			await(t, g, "running", running)
			status, d := call(t, g, "admin:grafana", http.MethodGet, "/api/datasources/uid/prometheus", "")
			if known := status == http.StatusOK && d["type"] == "prometheus"; known != c.known {
				t.Errorf("the datasource: %d %v", status, d)
			}
		})
	}
}
