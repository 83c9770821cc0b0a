package session

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Reports come at the pace that the worker was told, else the server, else neither, and soon after changes, however many.
func TestPaceOfReports(t *testing.T) {
	for name, c := range map[string]struct {
		told   time.Duration
		server int
		want   time.Duration
	}{
		"by the server":      {0, 60, time.Minute},
		"by the worker":      {5 * time.Second, 60, 5 * time.Second},
		"by nobody":          {0, 0, defaultReportInterval},
		"by a broken server": {0, -5, defaultReportInterval},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRemote()
				r.interval = c.server
				w, _, _ := connect(t, r, func(o *Options) { o.ReportInterval = c.told })
				time.Sleep(time.Second)
				r.of("report")
				time.Sleep(10 * c.want)
				times := r.of("report")
				if n := len(times); n < 9 || n > 10 {
					t.Errorf("%d reports in 10 intervals", n)
				}
				for i := range len(times) - 1 {
					if got := times[i+1].Sub(times[i]); got != c.want {
						t.Errorf("%s after the one before, want %s", got, c.want)
					}
				}
				time.Sleep(c.want / 2) // between two of them
				r.of("report")
				changed := time.Now()
				for range 4 {
					w.session.Changed()
					time.Sleep(coalesceTime / 5)
				}
				time.Sleep(time.Second)
				if times := r.of("report"); len(times) != 1 || times[0].Sub(changed) > coalesceTime {
					t.Errorf("changes at %s were reported at %s", changed, times)
				}
			})
		})
	}
}

// A server that cannot store a report is asked again and again, and the worker stays who it is.
func TestReportThatTheServerCannotStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.status["report"] = http.StatusServiceUnavailable
		connect(t, r)
		time.Sleep(10 * time.Minute)
		if n := len(r.of("register")); n != 1 {
			t.Errorf("%d registrations", n)
		}
		if n := len(r.of("report")); n < 20 {
			t.Errorf("%d reports in ten minutes", n)
		}
		r.set(func(r *remote) { r.status["report"] = 0 })
		time.Sleep(maxPause)
		r.set(func(r *remote) {
			if len(r.reports) == 0 {
				t.Error("no report when the server can store again")
			}
		})
	})
}

// The first report waits until the worker knows its instances; a session that ends before does not.
func TestFirstReportWaitsForTheInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ready := newRemote(), make(chan struct{})
		w, _, _ := connect(t, r, func(o *Options) { o.Ready = ready })
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(r.of("report")); n != 0 || len(w.registered) != 1 {
			t.Errorf("%d reports, %d registrations before the instances are known", n, len(w.registered))
		}
		w.set(good("a"))
		close(ready)
		synctest.Wait()
		if n := len(r.of("report")); n != 1 || len(r.reports[0].Instances) != 1 {
			t.Errorf("%d reports: %+v", n, r.reports)
		}

		_, _, end := connect(t, newRemote(), func(o *Options) { o.Ready = make(chan struct{}) })
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// A report is the whole worker, and the ids in its answer go to the instances that it names.
func TestReportAndItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.event.Generation = 5
		r.given = []wire.InstanceIDs{{Name: "ghost", InstanceID: 41, ModelID: 6}, {Name: "a", InstanceID: 40, ModelID: 5}, {InstanceID: 42}}
		r.given[1].Model = "qwen"
		restarted := good("a")
		restarted.Role, restarted.Group, restarted.Connector, restarted.Upstreams = fleet.RoleRouter, "g", "mooncake", "10.0.0.2:8000"
		restarted.Source, restarted.SourceKey = fleet.SourceHuggingFace, "org/qwen"
		restarted.RestartCount, restarted.LastRestartAt, restarted.StateMessage = 2, time.Unix(1_700_000_000, 0), "why"
		restarted.Since = time.Unix(1_700_000_060, 0)
		broken := fleet.ReportedInstance{Name: "b", State: fleet.InstanceError, StateMessage: "answered HTML"}
		w, _, _ := connect(t, r, func(o *Options) { o.Instances.(*node).set(restarted, broken) })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		want := wire.ReportRequest{AppliedGeneration: 5, Instances: []wire.InstanceReport{{
			Name: "a", Model: "qwen", URL: restarted.URL, Runtime: "vLLM", RuntimeVersion: "0.11.0", State: fleet.InstanceRunning, StateMessage: "why",
			Role: fleet.RoleRouter, Group: "g", Connector: "mooncake", Upstreams: "10.0.0.2:8000", Source: "huggingface", SourceKey: "org/qwen", RestartCount: 2, LastRestartAt: 1_700_000_000,
			Since: 1_700_000_060,
		}, {Name: "b", Runtime: "unknown", State: fleet.InstanceError, StateMessage: "answered HTML"}}}
		if diff := cmp.Diff(want, r.reports[len(r.reports)-1]); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(map[string]string{"a": "qwen 40 5"}, w.ids); diff != "" {
			t.Errorf("ids (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(map[string]string{"a": "qwen"}, w.routed); diff != "" {
			t.Errorf("models of routers (-want +got)\n%s", diff)
		}
	})
}
