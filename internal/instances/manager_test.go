package instances

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/tests/programs"
)

// noGPUs is a machine without GPUs.
type noGPUs struct{}

func (noGPUs) Presence(string) GPUPresence                              { return GPUPresence{} }
func (noGPUs) CollectInstance(string, exporter.Emit, exposition.Labels) {}

// newManager makes a manager whose state is in dir.
func newManager(t *testing.T, dir string, change ...func(*Options)) *Manager {
	t.Helper()
	logger := slog.New(slog.DiscardHandler).With(logging.KeyComponent, "test")
	store, err := OpenStore(filepath.Join(dir, "worker.json"), "", logger)
	if err != nil {
		t.Fatal(err)
	}
	f := fetch.New(fetch.Options{})
	t.Cleanup(f.Close)
	o := Options{Worker: "n1", Store: store, Fetcher: f, GPUs: noGPUs{}, Retention: time.Hour, StallAfter: -1, Logger: logger}
	for _, c := range change {
		c(&o)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.wg.Wait)
	return m
}

// network is one in which all engines answer with a page, or none listens.
type network struct {
	up    atomic.Bool
	pages atomic.Int64 // that were asked for
	delay time.Duration
}

func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Path == "/metrics" {
		n.pages.Add(1)
	}
	if n.delay > 0 {
		select {
		case <-time.After(n.delay):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	if !n.up.Load() {
		return nil, syscall.ECONNREFUSED
	}
	return reply(req, http.StatusOK, "text/plain", io.NopCloser(strings.NewReader(vllmPage))), nil
}

func reply(req *http.Request, status int, contentType string, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Header: http.Header{"Content-Type": {contentType}}, Body: body, ContentLength: -1, Request: req}
}

// newManagerInABubble makes one for simulated time.
func newManagerInABubble(t *testing.T, retention time.Duration) (*Manager, *network) {
	t.Helper()
	n := &network{}
	return newManager(t, t.TempDir(), func(o *Options) {
		o.Fetcher, o.Retention = fetch.New(fetch.Options{Transport: n}), retention
	}), n
}

// meets takes what was found and returns the instances' names with their states.
func (m *Manager) meets(t *testing.T, found ...discovery.Found) string {
	t.Helper()
	m.reconcile(t.Context(), found)
	var names []string
	for _, in := range m.Instances() {
		s := in.engine.Status()
		name := s.Name
		if s.State == fleet.InstanceUnreachable {
			name += " (ended)"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// at is a process that serves on a port nobody listens on.
func at(pid int, model string) discovery.Found {
	return discovery.Found{
		Key: "process:1", Source: discovery.SourceProcess, Runtime: "vLLM", Model: model, URL: "http://127.0.0.1:1", PID: pid,
		Started: time.Unix(1_700_000_000+int64(pid), 0),
	}
}

func TestAnotherModelAtAnEnginesPort(t *testing.T) {
	m := newManager(t, t.TempDir())
	if got := m.meets(t, at(7, "qwen")); got != "qwen-n1-1" {
		t.Fatal(got)
	}
	if got := m.meets(t, at(8, "qwen")); got != "qwen-n1-1" || m.Instances()[0].engine.Status().RestartCount != 1 {
		t.Errorf("restarted: %s, %+v", got, m.Instances()[0].engine.Status())
	}
	for _, gap := range []bool{false, true} {
		if gap {
			m.meets(t)
		}
		if got := m.meets(t, at(9, "llama")); got != "llama-n1-1" {
			t.Errorf("another model, gap %t: %s", gap, got)
		}
		if s := m.Instances()[0].engine.Status(); s.Model != "llama" || s.RestartCount != 0 {
			t.Errorf("gap %t: %+v", gap, s)
		}
		if got := m.meets(t, at(10, "qwen")); got != "qwen-n1-1" {
			t.Errorf("the first one again, gap %t: %s", gap, got)
		}
	}
}

// An engine that comes back while it is remembered is there again, with what is known of it, and is remembered for as long as
// ever when it goes once more.
func TestEngineThatComesBack(t *testing.T) {
	for name, back := range map[string]struct {
		pid      int
		restarts int
	}{"as the same process": {7, 0}, "as another process": {8, 1}} {
		for _, declared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, declared %t", name, declared), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const retention = 10 * time.Minute
					m, n := newManagerInABubble(t, retention)
					here, again, ended := at(7, "qwen"), at(back.pid, "qwen"), []discovery.Found(nil)
					name, forgotten := "qwen-n1-1", ""
					if declared {
						d, err := engine.CheckDeclarations([]engine.Declaration{{URL: here.URL, Model: "qwen", Instance: "own"}}, "n1")
						if err != nil {
							t.Fatal(err)
						}
						if err := m.declare(d); err != nil {
							t.Fatal(err)
						}
						// Discovery goes on to list it when its process has ended.
						place := discovery.Found{Key: "own", Source: discovery.SourceDeclared, URL: here.URL}
						here.Key, again.Key, here.Source, again.Source, ended = "own", "own", place.Source, place.Source, []discovery.Found{place}
						name, forgotten = "own", "own (ended)"
					}
					meets := func(when, want string, found ...discovery.Found) {
						t.Helper()
						n.up.Store(!strings.HasSuffix(want, "(ended)"))
						m.meets(t, found...)
						synctest.Wait()
						if got := m.meets(t, found...); got != want {
							t.Errorf("%s: %q, want %q", when, got, want)
						}
					}
					meets("at first", name, here)
					for range 3 {
						meets("it ended", name+" (ended)", ended...)
						time.Sleep(retention - time.Second)
						meets("long ago", name+" (ended)", ended...)
						meets("it is back", name, again)
						time.Sleep(time.Minute)
						meets("and stays", name, again)
					}
					if n := m.Instances()[0].engine.Status().RestartCount; n != back.restarts {
						t.Errorf("%d restarts, want %d", n, back.restarts)
					}
					meets("it ended for good", name+" (ended)", ended...)
					time.Sleep(retention)
					meets("and is forgotten", forgotten, ended...)
				})
			})
		}
	}
}

func TestProcessTurnsOutToBeAContainers(t *testing.T) {
	m := newManager(t, t.TempDir())
	process := at(7, "qwen")
	m.meets(t, process)
	container := process
	container.Key, container.Source, container.URL = "docker:serve:1", discovery.SourceDocker, "http://127.0.0.1:2"
	if got := m.meets(t, container); got != "serve" {
		t.Errorf("%s: want it to go on under its container's name", got)
	}
	if s := m.Instances()[0].engine.Status(); s.RestartCount != 0 || s.URL != container.URL {
		t.Errorf("%+v", s)
	}
	if got := m.meets(t, container, at(8, "qwen")); got != "serve, qwen-n1-1" {
		t.Errorf("another process at the port: %s", got)
	}
	if got := m.meets(t, container); got != "serve, qwen-n1-1 (ended)" {
		t.Errorf("the process ended: %s", got)
	}
}

func TestNamesStayOverARestartOfTheWorker(t *testing.T) {
	dir := t.TempDir()
	first, second := at(7, ""), at(8, "")
	first.Key, first.Instance = "docker:c:1", "twin"
	second.Key, second.Instance, second.URL = "docker:c:2", "twin", "http://127.0.0.1:2"
	m := newManager(t, dir)
	if got := m.meets(t, first, second); got != "twin, twin-2" {
		t.Fatal(got)
	}
	m.Save()
	m = newManager(t, dir)
	if got := m.meets(t, second); got != "twin-2" {
		t.Errorf("the second alone: %s", got)
	}
	if got := m.meets(t, second, first); got != "twin-2, twin" {
		t.Errorf("both: %s", got)
	}
}

// An engine that is forgotten, or another one than before, is read no more.
func TestEnginesThatAreNoMoreAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const retention = time.Minute
		m, n := newManagerInABubble(t, retention)
		n.up.Store(true)
		reads := func() int64 {
			time.Sleep(time.Minute) // what changed has settled
			before := n.pages.Load()
			time.Sleep(time.Hour)
			return n.pages.Load() - before
		}
		other, moved := at(9, "llama"), at(9, "llama")
		moved.URL = "http://127.0.0.1:2"
		var one int64
		for i, found := range []discovery.Found{at(7, "qwen"), other, moved, at(7, "qwen")} {
			m.meets(t, found)
			got := reads()
			if i == 0 {
				one = got
			}
			if got > one*5/4 || got < one*3/4 {
				t.Errorf("step %d: %d reads in an hour, want those of one engine, %d", i, got, one)
			}
		}
		m.meets(t)
		time.Sleep(retention)
		m.meets(t)
		if got := reads(); got != 0 || len(m.Instances()) != 0 {
			t.Errorf("%d reads of %d engines when all are forgotten", got, len(m.Instances()))
		}
	})
}

func TestEnginesOfAWorkerAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &programs.Buffer{}
		m, _ := newManagerInABubble(t, time.Minute)
		m.logger = slog.New(slog.NewTextHandler(log, nil))
		if m.max != MaxEngines {
			t.Errorf("at most %d engines, want %d", m.max, MaxEngines)
		}
		m.max = 50 // the race detector of Go 1.26 crashes now and then on the timers of hundreds of goroutines in a bubble
		var found []discovery.Found
		for i := range m.max + 3 {
			f := at(i+1, "qwen")
			f.Key, f.URL = fmt.Sprint("process:", i+1), fmt.Sprint("http://127.0.0.1:", i+1)
			found = append(found, f)
		}
		for range 3 {
			m.meets(t, found...)
			if n := len(m.Instances()); n != m.max {
				t.Errorf("%d engines, want %d", n, m.max)
			}
		}
		if n := strings.Count(log.String(), "more engines than a worker takes"); n != 1 {
			t.Errorf("said %d times", n)
		}
		// There is room again when some are forgotten.
		for range 3 {
			m.meets(t, found[10:]...)
			time.Sleep(time.Minute)
		}
		if n := len(m.Instances()); n != len(found)-10 {
			t.Errorf("%d engines, want %d", n, len(found)-10)
		}
	})
}

// An engine that is found at another address was restarted when its process started, or now if nobody knows when that was,
// and not at all if it is the same process.
func TestRestartOfAnEngineThatMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		unknown := at(9, "qwen")
		unknown.Started = time.Time{}
		for name, c := range map[string]struct {
			found    discovery.Found
			restarts int
			at       time.Time
		}{
			"another process":                  {at(8, "qwen"), 1, at(8, "qwen").Started},
			"another process, start not known": {unknown, 1, now},
			"the same process":                 {at(7, "qwen"), 0, time.Time{}},
		} {
			for _, move := range []func(*discovery.Found){
				func(f *discovery.Found) { f.URL = "http://127.0.0.1:2" },
				func(f *discovery.Found) { f.Path = "/m" },
			} {
				m, _ := newManagerInABubble(t, time.Hour)
				m.meets(t, at(7, "qwen"))
				move(&c.found)
				m.meets(t, c.found)
				if s := m.Instances()[0].engine.Status(); len(m.Instances()) != 1 || s.RestartCount != c.restarts || !s.LastRestartAt.Equal(c.at) {
					t.Errorf("%s: %d restarts, the last at %s, want %d and %s", name, s.RestartCount, s.LastRestartAt, c.restarts, c.at)
				}
			}
		}
	})
}

// What is learned of an engine later, or cannot be read for once, does not make it another one.
func TestEngineOfWhichMoreIsLearned(t *testing.T) {
	plain, named, given := at(7, ""), at(7, "qwen"), at(7, "qwen")
	given.Instance = "mine"
	unknown := plain
	unknown.Runtime = ""
	m := newManager(t, t.TempDir())
	want := m.meets(t, plain)
	for i, f := range []discovery.Found{named, plain, given, unknown, named} {
		if got := m.meets(t, f); got != want || len(m.Instances()) != 1 || m.Instances()[0].engine.Status().RestartCount != 0 {
			t.Errorf("step %d: %s, want %s", i, got, want)
		}
	}
}

// The number of a process that ended may be another's: only the same start makes it the same engine found in another way.
func TestNumberOfAProcessIsUsedAgain(t *testing.T) {
	for later, want := range map[time.Duration]string{0: "serve", time.Hour: "qwen-n1-1 (ended), serve"} {
		m := newManager(t, t.TempDir())
		process := at(7, "qwen")
		m.meets(t, process)
		container := process
		container.Key, container.Source, container.URL = "docker:serve:1", discovery.SourceDocker, "http://127.0.0.1:2"
		container.Started = process.Started.Add(later)
		if got := m.meets(t, container); got != want {
			t.Errorf("started %s later: %q, want %q", later, got, want)
		}
	}
}

// A name that was made for an engine once may be somebody else's by now.
func TestKeptNameThatIsTaken(t *testing.T) {
	dir := t.TempDir()
	first, second := at(7, ""), at(8, "")
	first.Key, first.Instance = "docker:c:1", "twin"
	second.Key, second.Instance, second.URL = "docker:c:2", "twin", "http://127.0.0.1:2"
	m := newManager(t, dir)
	m.meets(t, first, second)
	m.Save()
	m = newManager(t, dir)
	other := at(9, "")
	other.Key, other.Instance, other.URL = "docker:d:3", "twin-2", "http://127.0.0.1:3"
	if got := m.meets(t, other); got != "twin-2" {
		t.Fatal(got)
	}
	if got := m.meets(t, other, second); got != "twin-2, twin" {
		t.Errorf("%s: want each to have a name of its own", got)
	}
	if got := m.meets(t, other, second, first); got != "twin-2, twin, twin-3" {
		t.Errorf("%s: want each to have a name of its own", got)
	}
}

func TestNamesOfFoundEnginesShowWhatTheyAre(t *testing.T) {
	m := newManager(t, t.TempDir())
	given, contained, made := at(7, ""), at(8, ""), at(9, "qwen\u200b")
	given.Key, given.Instance = "process:7", "turned\u202e"
	contained.Key, contained.URL = "docker:c\u00ad:1", "http://127.0.0.1:2"
	made.Key, made.URL = "process:9", "http://127.0.0.1:3"
	if got := m.meets(t, given, contained, made); got != "turned<U+202E>, c<U+00AD>, qwen<U+200B>-n1-3" {
		t.Errorf("%s", got)
	}
	if got := m.Instances()[2].engine.Status().Model; got != "qwen<U+200B>" {
		t.Errorf("model %q", got)
	}
}

const vllmPage = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\",model_name=\"qwen\"} 3.0\n"
