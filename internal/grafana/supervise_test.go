package grafana

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
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
	g, lines := newFake(t, "healthy")
	if s := g.Status(); s.Phase != PhaseStopped || s.Home == "" {
		t.Errorf("before Run: %+v", s)
	}
	stop := run(t, g)
	s := await(t, g, "running", running)
	if s.Version != "10.9.8" || s.PID == 0 || s.Restarts != 0 || s.Reason != "" || s.Since.IsZero() {
		t.Errorf("running: %+v", s)
	}
	addr, ok := g.upstream()
	if !ok || !strings.HasPrefix(addr, "127.0.0.1:") {
		t.Errorf("upstream %q, %v", addr, ok)
	}
	m := samples(g)
	if m["start_duration_seconds"] == "" {
		t.Error("no start duration")
	}
	delete(m, "start_duration_seconds")
	want := map[string]string{"up": "1", "starts_total": "1", `failures_total{reason="start"}`: "0", `failures_total{reason="exit"}`: "0", `failures_total{reason="unresponsive"}`: "0"}
	if d := cmp.Diff(want, m); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
	if group, err := syscall.Getpgid(s.PID); err != nil || group != s.PID {
		t.Errorf("its process group is %d, %v: a terminal's Ctrl-C would reach it", group, err)
	}
	if took := stop(); took > 1500*time.Millisecond {
		t.Errorf("stopping took %s", took)
	}
	if alive(s.PID) {
		t.Error("it is still there")
	}
	if s := g.Status(); s.Phase != PhaseStopped || s.PID != 0 || samples(g)["up"] != "0" {
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
	cases := map[string]struct {
		reason string
		kind   kind
	}{
		"exits":          {"the cellar is under water", kindStart},
		"newer":          {"duplicate column name: help_flags1: its database DIR/grafana.db comes from another version or is damaged; run the Grafana that it belongs to (--grafana-home)", kindStart},
		"full disk":      {"database or disk is full: make room on the disk that holds DIR, or choose another with --data-dir", kindStart},
		"read-only":      {"attempt to write a readonly database: let the user that stackscope runs as write to DIR", kindStart},
		"loses its port": {"is taken by another program: stop that program or choose another port with --builtin-grafana-port", kindStart},
		"hangs":          {"it did not answer within 700ms of its start: ", kindStart},
		"sick":           {"it did not answer within 700ms of its start: it answers 503 Service Unavailable: its database is failing", kindStart},
		"dies":           {"The roof came down: snow", kindExit},
	}
	for mode, c := range cases {
		t.Run(mode, func(t *testing.T) {
			g, _ := newFake(t, mode)
			if mode == "hangs" || mode == "sick" {
				g.timing.start = 700 * time.Millisecond
			}
			stop := run(t, g)
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

// Grafana answers before it has taken up the dashboards; who opened one then would be told that it isn't there.
func TestRunsWhenItsDashboardsAreThere(t *testing.T) {
	for mode, least := range map[string]time.Duration{"slow dashboards": 200 * time.Millisecond, "no dashboards": 300 * time.Millisecond} {
		g, _ := newFake(t, mode)
		stop := run(t, g)
		await(t, g, "running", running)
		took, err := strconv.ParseFloat(samples(g)["start_duration_seconds"], 64)
		if err != nil || took < least.Seconds() {
			t.Errorf("%s: it ran after %v s, %v", mode, took, err)
		}
		stop()
	}
}

func TestStopKillsWhatIgnoresTheSignal(t *testing.T) {
	g, _ := newFake(t, "stubborn", func(o *Options) { o.StopTimeout = time.Second })
	stop := run(t, g)
	s := await(t, g, "running", running)
	took := stop()
	if alive(s.PID) {
		t.Error("it is still there")
	}
	if took < 700*time.Millisecond || took > 3*time.Second {
		t.Errorf("stopping took %s of 1s", took)
	}
}

func TestStopDuringStart(t *testing.T) {
	g, _ := newFake(t, "hangs")
	stop := run(t, g)
	s := await(t, g, "starting", func(s Status) bool { return s.Phase == PhaseStarting })
	if _, ok := g.upstream(); ok {
		t.Error("a Grafana that doesn't answer yet is upstream")
	}
	if stop() > 3*time.Second || alive(s.PID) {
		t.Error("it is still there")
	}
}

func TestUnresponsiveIsEndedAndStartedAgain(t *testing.T) {
	g, _ := newFake(t, "stubborn") // ignores SIGTERM too
	g.timing.deadline = 500 * time.Millisecond
	run(t, g)
	s := await(t, g, "running", running)
	touch(t, data(g, "deaf"))
	await(t, g, "being ended", func(s Status) bool {
		return s.Phase == PhaseStarting && strings.HasPrefix(s.Reason, "it failed 3 health checks in a row: ")
	})
	w := await(t, g, "waiting", waiting)
	if !strings.HasPrefix(w.Reason, "it failed 3 health checks in a row: no answer within ") {
		t.Errorf("reason %q", w.Reason)
	}
	if alive(s.PID) {
		t.Error("the first is still there")
	}
	if err := os.Remove(data(g, "deaf")); err != nil {
		t.Fatal(err)
	}
	if again := await(t, g, "running again", running); again.PID == s.PID || samples(g)[`failures_total{reason="unresponsive"}`] == "0" {
		t.Errorf("again %+v, %v", again, samples(g))
	}
}

func TestKilledIsBackAtOnce(t *testing.T) {
	g, lines := newFake(t, "healthy")
	run(t, g)
	s := await(t, g, "running", running)
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := await(t, g, "running again", func(n Status) bool { return running(n) && n.PID != s.PID })
	if again.Restarts != 1 || !strings.Contains(lines.String(), "it was ended from outside (signal: killed)") {
		t.Errorf("again %+v", again)
	}
}

func TestTakenPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	g, _ := newFake(t, "healthy", func(o *Options) { o.Port = port })
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

// The child is to die with this process, and not with the thread that happened to start it.
func TestOutlivesThreads(t *testing.T) {
	ended := make(chan struct{}) // a thread ends with a goroutine that is locked to it
	var starting, churning sync.WaitGroup
	children := make([]*child, 16)
	for i := range children {
		starting.Go(func() {
			c, err := start(exec.CommandContext(context.Background(), "sleep", "60"), io.Discard)
			if err != nil {
				t.Error(err)
			}
			children[i] = c
		})
	}
	starting.Wait()
	for range 64 {
		churning.Go(func() {
			runtime.LockOSThread()
			<-ended
		})
	}
	time.Sleep(50 * time.Millisecond)
	close(ended)
	churning.Wait()
	time.Sleep(100 * time.Millisecond)
	for _, c := range children {
		if !alive(c.pid) {
			t.Errorf("process %d ended: %v", c.pid, c.err)
		}
		if !c.stop(time.Second, time.Second) {
			t.Errorf("process %d does not end", c.pid)
		}
	}
}

func TestKilledParentLeavesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can end a child with its parent")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), envParent+"="+fakeHome(t), envFake+"=stubborn")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		_ = parent.Process.Kill()
		t.Fatalf("the parent says %q", line)
	}
	time.Sleep(50 * time.Millisecond)
	if !alive(pid) {
		t.Error("the child is gone already")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	awaitGone(t, pid)
}

func TestLeftoverIsNamed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a process' environment")
	}
	g, _ := newFake(t, "healthy")
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
	if want := fmt.Sprintf("a Grafana that an earlier run left behind still uses %s: end process %d", g.opts.Dir, old.Process.Pid); s.Reason != want {
		t.Errorf("reason %q, want %q", s.Reason, want)
	}
	_ = old.Process.Kill()
	_ = old.Wait()
	await(t, g, "running", running)
}

func TestInstalledWhileRunning(t *testing.T) {
	later := filepath.Join(t.TempDir(), "later")
	g, _ := newFake(t, "healthy", func(o *Options) {
		o.Home, o.Searched = "", []string{later}
		o.Environ = append(o.Environ, "PATH=", "GF_PATHS_HOME=")
	})
	if s := g.Status(); s.Phase != PhaseAbsent {
		t.Skipf("this machine has a Grafana of its own: %+v", s)
	}
	if m := samples(g); len(m) != 0 {
		t.Errorf("metrics without a Grafana: %v", m)
	}
	run(t, g)
	furnish(t, later)
	if s := await(t, g, "running", running); s.Home != later {
		t.Errorf("%+v", s)
	}
}

func TestGivenHomeThatBreaksLater(t *testing.T) {
	g, _ := newFake(t, "healthy")
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
	g, _ := newFake(t, "healthy", func(o *Options) { o.Dir = filepath.Join(file, "grafana") })
	run(t, g)
	if s := await(t, g, "waiting", waiting); !strings.Contains(s.Reason, "cannot be made (not a directory)") {
		t.Errorf("reason %q", s.Reason)
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{timing: defaultTiming()}
	var got []time.Duration
	for _, healthy := range []time.Duration{0, 0, 0, 10 * time.Second, 0, 0, 0, 0, 5 * time.Minute, 0} {
		got = append(got, b.after(healthy))
	}
	s := time.Second
	if d := cmp.Diff([]time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, s, 2 * s}, got); d != "" {
		t.Errorf("waits (-want +got):\n%s", d)
	}
}

// While there is no Grafana, Run looks for one every 15 s and says what it found instead.
func TestLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "later")
		lines := new(logLines)
		g, err := New(Options{Dir: t.TempDir(), Searched: []string{dir}, PathPrefix: "/grafana", PrometheusURL: "http://127.0.0.1:1", Environ: []string{}, Logger: lines.logger()})
		if err != nil {
			t.Fatal(err)
		}
		if g.Status().Phase != PhaseAbsent {
			t.Skip("this machine has a Grafana of its own")
		}
		stop := run(t, g)
		synctest.Wait()
		since := g.Status().Since
		if err := os.MkdirAll(filepath.Join(dir, "public"), 0o750); err != nil {
			t.Fatal(err)
		}
		time.Sleep(14 * time.Second)
		if strings.Contains(g.Status().Reason, "lacks") {
			t.Error("it looked too early")
		}
		time.Sleep(2 * time.Second)
		s := g.Status()
		if want := dir + " (lacks conf/defaults.ini and an executable bin/grafana)"; !strings.Contains(s.Reason, want) || !s.Since.Equal(since) {
			t.Errorf("%+v, want %q", s, want)
		}
		time.Sleep(time.Minute)
		if n := strings.Count(lines.String(), "there is no grafana"); n != 2 {
			t.Errorf("it was said %d times", n)
		}
		stop()
		if s := g.Status(); s.Phase != PhaseStopped {
			t.Errorf("after the end: %+v", s)
		}
	})
}

func TestHealthCheckKnowsGrafanaFromOthers(t *testing.T) {
	g, _ := newFake(t, "healthy")
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
