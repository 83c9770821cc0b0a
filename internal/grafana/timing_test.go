package grafana

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/simgrafana"
)

func TestRestartPause(t *testing.T) {
	b := restartPause{timing: defaultTiming()}
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
		if n := strings.Count(lines.String(), "grafana is not installed"); n != 2 {
			t.Errorf("it was said %d times", n)
		}
		stop()
		if s := g.Status(); s.Phase != PhaseStopped {
			t.Errorf("after the end: %+v", s)
		}
	})
}

// A Grafana that was well for long is back soon, however often it failed before.
func TestFailuresOfLongAgoAreForgiven(t *testing.T) {
	for _, c := range []struct {
		calm  time.Duration
		waits []string
	}{
		{1, []string{"20ms", "20ms", "20ms"}}, // however short it was well, that was long
		{time.Hour, []string{"20ms", "40ms", "80ms"}},
	} {
		g, lines := newFake(t, simgrafana.Play{})
		g.timing.calm = c.calm
		stop := run(t, g)
		pid := 0
		for range c.waits {
			s := await(t, g, "running", func(s Status) bool { return running(s) && s.PID != pid })
			pid = s.PID
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		await(t, g, "running", func(s Status) bool { return running(s) && s.PID != pid })
		stop()
		var waits []string
		for line := range strings.Lines(lines.String()) {
			if _, wait, ok := strings.Cut(line, "next_start_in="); ok {
				waits = append(waits, strings.TrimSpace(wait))
			}
		}
		if d := cmp.Diff(c.waits, waits); d != "" {
			t.Errorf("calm after %s: waits (-want +got):\n%s", c.calm, d)
		}
	}
}

// transport is an http.RoundTripper for simulated time.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answers returns what a Grafana of simulated time answers to health checks; silent tells when it doesn't.
func answers(silent func() bool) transport {
	return func(r *http.Request) (*http.Response, error) {
		if silent() {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		body := `{"database":"ok","version":"12.1.0"}`
		if strings.HasSuffix(r.URL.Path, "/api/search") {
			body = "{}" // viewers must log in
		}
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

// shipped returns a supervisor with the times that users have, and the process that it supervises.
func shipped(t *testing.T, tr transport) (*Grafana, *child) {
	t.Helper()
	g, err := New(valid())
	if err != nil {
		t.Fatal(err)
	}
	g.client = &http.Client{Transport: tr}
	return g, &child{pid: 1 << 30, done: make(chan struct{})}
}

// A first start sets up the database, which takes a minute on a slow disk, as the page says; one that hangs is told of all the same.
func TestFirstStartMayTakeAMinute(t *testing.T) {
	for _, c := range []struct {
		answers time.Duration
		want    bool
	}{
		{time.Second, true},
		{time.Minute, true},
		{10 * time.Minute, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			g, child := shipped(t, answers(func() bool { return time.Since(begun) < c.answers }))
			version, f := g.awaitHealthy(t.Context(), child, "x")
			took := time.Since(begun)
			if (version != nil) != c.want || (f == nil) != c.want {
				t.Errorf("answers after %s: %v, %v", c.answers, version, f)
			}
			if late := took - c.answers; c.want && late > 10*time.Second {
				t.Errorf("answers after %s: users wait %s longer", c.answers, late)
			}
			if !c.want && took > 5*time.Minute {
				t.Errorf("one that hangs at its start is told of after %s", took)
			}
		})
	}
}

// hangs are times from the start at which a Grafana doesn't answer.
type hangs []struct{ from, to time.Duration }

func (h hangs) at(now time.Duration) bool {
	return slices.ContainsFunc(h, func(one struct{ from, to time.Duration }) bool { return one.from <= now && now < one.to })
}

// Ending a Grafana costs each user what isn't saved, so a short pause, as a disk or a heavy query makes, doesn't; pauses that come
// again and again don't add up; one that hangs for good is ended before users give up.
func TestOnlyOneThatHangsIsEnded(t *testing.T) {
	s := func(n int) time.Duration { return time.Duration(n) * time.Second }
	var often hangs
	for n := range 60 {
		often = append(often, struct{ from, to time.Duration }{s(60 * n), s(60*n + 8)})
	}
	for _, c := range []struct {
		name  string
		hangs hangs
		ended bool
		most  time.Duration // from the beginning of the hang
	}{
		{"well", nil, false, 0},
		{"one failed check", hangs{{s(8), s(12)}}, false, 0},
		{"a short pause", hangs{{s(9), s(16)}}, false, 0},
		{"short pauses", often, false, 0},
		{"hangs", hangs{{s(5), s(36000)}}, true, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				g, child := shipped(t, answers(func() bool { return c.hangs.at(time.Since(begun)) }))
				time.AfterFunc(time.Hour, func() { close(child.done) })
				f := g.watch(t.Context(), child, "x")
				took := time.Since(begun)
				if (f != nil) != c.ended {
					t.Fatalf("after %s: %+v", took, f)
				}
				if f != nil && (f.kind != kindUnresponsive || took-c.hangs[0].from > c.most) {
					t.Errorf("after %s: %+v", took, f)
				}
			})
		})
	}
}

// Checks that fail count while no other one between them succeeds.
func TestFailedChecksInARow(t *testing.T) {
	for _, c := range []struct {
		checks string // + succeeds, - fails
		ended  bool
	}{
		{"+-+-+-+-+", false},
		{"+--+--+--+", false},
		{"-+--+-+--+", false},
		{"+---", true},
		{"--+---", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			var ours *child
			g, ours := shipped(t, func(r *http.Request) (*http.Response, error) {
				sign := c.checks[asked]
				if asked++; asked == len(c.checks) && !c.ended {
					close(ours.done)
				}
				if sign == '-' {
					return nil, errors.New("connection refused")
				}
				return answers(func() bool { return false })(r)
			})
			f := g.watch(t.Context(), ours, "x")
			if asked != len(c.checks) || (f != nil) != c.ended {
				t.Errorf("%s: %d checks, %+v", c.checks, asked, f)
			}
			if f != nil && !strings.HasPrefix(f.reason, fmt.Sprintf("it failed %d health checks in a row: connection refused", 3)) {
				t.Errorf("%s: reason %q", c.checks, f.reason)
			}
		})
	}
}
