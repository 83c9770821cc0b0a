package instances

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/fleet"
)

// finder is a discovery that finds what it is told.
type finder struct {
	found  []discovery.Found
	looked chan struct{}
}

func (f finder) Engines() []discovery.Found      { return f.found }
func (f finder) FirstRoundDone() <-chan struct{} { return f.looked }

func declare(t *testing.T, d engine.Declaration) []engine.Declaration {
	t.Helper()
	checked, err := engine.CheckDeclarations([]engine.Declaration{d}, "n1")
	if err != nil {
		t.Fatal(err)
	}
	return checked
}

// The instances are known when discovery has looked once and each engine was read or could not be, but a report doesn't wait for ever.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			looks, answers bool
			want           time.Duration
		}{
			"nobody looks":          {false, true, readyLimit},
			"an engine hangs":       {true, false, readyLimit},
			"all is known in a bit": {true, true, 300 * time.Millisecond},
		} {
			n := &network{delay: time.Hour}
			n.up.Store(true)
			if c.answers {
				n.delay = c.want
			}
			m := newManager(t, t.TempDir(), func(o *Options) {
				o.Fetcher = fetch.New(fetch.Options{Transport: n})
				o.Declared = declare(t, engine.Declaration{URL: "http://127.0.0.1:1", Instance: "own", Model: "qwen"})
			})
			d := finder{looked: make(chan struct{})}
			if c.looks {
				close(d.looked)
			}
			began := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { m.Run(ctx, d) })
			<-m.Ready()
			if took := time.Since(began); took < c.want || took > c.want+time.Second {
				t.Errorf("%s: ready after %s, want %s", name, took, c.want)
			}
			cancel()
			running.Wait()
		}
	})
}

// An engine that had been found and was not yet found again is in the reports, as it was, until its fate is known.
func TestEnginesThatAreNotFoundYet(t *testing.T) {
	const retention = 5 * time.Minute
	for name, c := range map[string]struct {
		change func(*Options, *engine.Declaration)
		server string
		want   string // what a report names at once, and when the time of engines that end has passed
		later  string
	}{
		"it is away":                 {func(*Options, *engine.Declaration) {}, "http://server", "own n1-1:unreachable", "own"},
		"it is declared now":         {func(_ *Options, d *engine.Declaration) { d.URL = "http://127.0.0.1:1" }, "http://server", "own", "own"},
		"it has the name of another": {func(_ *Options, d *engine.Declaration) { d.Instance = "n1-1" }, "http://server", "n1-1", "n1-1"},
		"it has another name":        {func(*Options, *engine.Declaration) {}, "http://server", "own other", "own other"},
		"nobody looks for it":        {func(o *Options, _ *engine.Declaration) { o.Sources = []discovery.Source{discovery.SourceDocker} }, "http://server", "own", "own"},
		"they are not shown":         {func(o *Options, _ *engine.Declaration) { o.Retention = 0 }, "http://server", "own", "own"},
		"another server":             {func(*Options, *engine.Declaration) {}, "http://before", "own", "own"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "worker.json")
				silent := func(o *Options) { o.Fetcher = fetch.New(fetch.Options{Transport: &network{}}) }
				before := newManager(t, dir, silent)
				f := at(1, "qwen")
				f.Instance = "n1-1"
				before.meets(t, f)
				before.store.SetIdentity(Identity{Server: c.server, WorkerID: 7})
				before.SetIDs("n1-1", "qwen", 41, 5)
				before.SetIDs("gone", "qwen", 42, 5) // known, but not there
				before.Save()

				store, err := OpenStore(path, "http://server", before.logger)
				if err != nil {
					t.Fatal(err)
				}
				m := newManager(t, dir, silent, func(o *Options) {
					d := engine.Declaration{URL: "http://127.0.0.1:9", Instance: "own", Model: "qwen"}
					o.Store, o.Retention, o.Sources = store, retention, []discovery.Source{discovery.SourceProcess}
					c.change(o, &d)
					o.Declared = declare(t, d)
				})
				if strings.HasSuffix(name, "another name") {
					f.Instance, f.URL = "other", "http://127.0.0.1:2"
					m.meets(t, f)
				}
				time.Sleep(time.Second)
				if diff := cmp.Diff(c.want, named(t, m)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				m.Save()
				again, err := OpenStore(path, "http://server", m.logger)
				if err != nil {
					t.Fatal(err)
				}
				if awaited := len(again.awaitedEngines()) == 1; awaited != strings.Contains(c.want, "unreachable") {
					t.Errorf("the next start awaits it: %v", awaited)
				}
				time.Sleep(retention + 2*time.Minute)
				if diff := cmp.Diff(c.later, named(t, m)); diff != "" {
					t.Errorf("later (-want +got)\n%s", diff)
				}
			})
		})
	}
}

// named says what a report names.
func named(t *testing.T, m *Manager) string {
	t.Helper()
	reported := m.Reported()
	if _, err := fleet.CheckReport(fleet.Report{Instances: reported}); err != nil {
		t.Errorf("the server would refuse it: %v", err)
	}
	var names []string
	for _, in := range reported {
		name := in.Name
		if in.StateMessage == notFoundYet {
			name += ":" + string(in.State)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}
