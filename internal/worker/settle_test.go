package worker

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/wire"
)

// The first report waits until the worker has looked for engines and read them, but not for ever.
func TestFirstReportWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			looks, answers bool
			want           time.Duration
		}{
			"nobody looks":          {false, true, settleLimit},
			"an engine hangs":       {true, false, settleLimit},
			"all is known in a bit": {true, true, 300 * time.Millisecond},
		} {
			r := newRemote()
			w, _, end := newLinked(t, r, func(o *Options) {
				o.Engines = []engine.Declaration{{URL: "http://127.0.0.1:1", Instance: "own", Model: "qwen"}}
			})
			n := &network{}
			n.up.Store(true)
			w.roster.fetcher = engine.NewFetcher(engine.FetcherOptions{Transport: n})
			if err := w.roster.declare(w.opts.Engines); err != nil {
				t.Fatal(err)
			}
			if c.answers {
				go func() {
					time.Sleep(c.want)
					for _, e := range w.roster.engines() {
						if _, err := e.engine.Fetch(t.Context()); err != nil {
							t.Error(err)
						}
					}
				}()
			}
			if c.looks {
				close(w.roster.looked)
			}
			go w.settle(t.Context())
			began := time.Now()
			time.Sleep(time.Minute)
			if times := r.of("report"); len(times) == 0 || times[0].Sub(began) < c.want || times[0].Sub(began) > c.want+time.Second {
				t.Errorf("%s: first report %v after the start, want %v", name, times[0].Sub(began), c.want)
			}
			_ = end()
			w.roster.fetcher.Close()
		}
	})
}

// An engine that had been found and was not yet found again is in the reports, as it was, until its fate is known.
func TestEnginesThatAreNotFoundYet(t *testing.T) {
	declared := engine.Declaration{URL: "http://127.0.0.1:9", Instance: "own", Model: "qwen"}
	for name, c := range map[string]struct {
		change func(*Options)
		server string
		want   string // what a report names at once, and when the time of engines that end has passed
		later  string
	}{
		"it is away":                 {func(*Options) {}, "http://server", "own n1-1:unreachable", "own"},
		"it is declared now":         {func(o *Options) { o.Engines[0].URL = "http://127.0.0.1:1" }, "http://server", "own", "own"},
		"it has the name of another": {func(o *Options) { o.Engines[0].Instance = "n1-1" }, "http://server", "n1-1", "n1-1"},
		"it has another name":        {func(*Options) {}, "http://server", "own other", "own other"},
		"nobody looks for it":        {func(o *Options) { o.Discover = []discovery.Source{discovery.SourceDocker} }, "http://server", "own", "own"},
		"they are not shown":         {func(o *Options) { o.EngineRetention = 0 }, "http://server", "own", "own"},
		"another server":             {func(*Options) {}, "http://before", "own", "own"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				before := newRoster(t, dir)
				before.fetcher = engine.NewFetcher(engine.FetcherOptions{Transport: &network{}})
				f := at(1, "qwen")
				f.Instance = "n1-1"
				before.meets(t, f)
				before.keeper.joined(c.server, wire.RegisterResponse{WorkerID: 7})
				before.keeper.identified("n1-1", ids{"qwen", 41, 5})
				before.keeper.identified("gone", ids{"qwen", 42, 5}) // known, but not there
				before.keeper.save(before.engines())
				for _, e := range before.byKey {
					e.cancel()
				}
				before.wg.Wait()

				r := newRemote()
				w, _, end := newLinked(t, r, func(o *Options) {
					o.DataDir, o.Engines, o.Discover = dir, []engine.Declaration{declared}, []discovery.Source{discovery.SourceProcess}
					c.change(o)
				})
				if strings.HasSuffix(name, "another name") {
					f.Instance, f.URL = "other", "http://127.0.0.1:2"
					w.roster.fetcher = before.fetcher
					w.roster.meets(t, f)
				}
				close(w.settled)
				time.Sleep(time.Second)
				if n := w.session.Unreported(); n != 0 {
					t.Errorf("%d left out of the report", n)
				}
				if diff := cmp.Diff(c.want, named(r)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				w.keeper.save(w.roster.engines())
				again, err := openKeeper(filepath.Join(dir, "worker.json"), "http://server", w.logger)
				if err != nil {
					t.Fatal(err)
				}
				if awaited := len(again.awaiting()) == 1; awaited != strings.Contains(c.want, "unreachable") {
					t.Errorf("the next start awaits it: %v", awaited)
				}
				time.Sleep(w.opts.EngineRetention + 2*time.Minute)
				if diff := cmp.Diff(c.later, named(r)); diff != "" {
					t.Errorf("later (-want +got)\n%s", diff)
				}
				_ = end()
				for _, e := range w.roster.byKey {
					if e.cancel != nil {
						e.cancel()
					}
				}
				w.roster.wg.Wait()
			})
		})
	}
}

// named says what the last report names.
func named(r *remote) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, in := range r.reports[len(r.reports)-1].Instances {
		name := in.Name
		if in.StateMessage == notFoundYet {
			name += ":" + string(in.State)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}
