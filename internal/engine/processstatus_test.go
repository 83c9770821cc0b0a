package engine

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/engine/process"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// text is what Collect emits, without what is 0.
func (h *harness) text(families ...*catalog.Metric) string {
	var w exposition.Writer
	h.Collect(func(m *catalog.Metric, suffix string, v float64, labels exposition.Labels) {
		for _, f := range families {
			if f == m && v != 0 {
				w.Sample(strings.TrimPrefix(m.Name, catalog.Prefix+"model_instance_")+suffix, v, labels)
			}
		}
	}, "")
	return string(w.Bytes())
}

func (h *harness) want(t *testing.T, state fleet.InstanceState, message string, restarts int) {
	t.Helper()
	synctest.Wait()
	got := h.Status()
	if got.State != state || !strings.Contains(got.Message, message) || got.RestartCount != restarts {
		t.Errorf("got %s %q and %d restarts, want %s %q and %d", got.State, got.Message, got.RestartCount, state, message, restarts)
	}
}

func TestProcessEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
		h.run(t)
		began := time.Now().Add(-time.Hour)
		h.Observe(ProcessStatus{PID: 7, Started: began, Listening: true})
		time.Sleep(time.Second)
		h.want(t, fleet.InstanceRunning, "", 0)
		reads, changes := h.fake.count("/metrics"), h.changes
		h.fake.fail(refused)
		h.Observe(ProcessStatus{PID: 7, Started: began, Gone: true})
		h.Observe(ProcessStatus{PID: 7, Started: began, Gone: true})
		h.want(t, fleet.InstanceUnreachable, "its process ended", 0)
		if n := h.changes - changes; n != 1 || h.fake.count("/metrics") != reads {
			t.Errorf("%d changes were told and %d reads made", n, h.fake.count("/metrics")-reads)
		}
		time.Sleep(2 * time.Minute)
		h.want(t, fleet.InstanceUnreachable, "its process ended", 0)
		if h.Status().Stalled {
			t.Error("an engine that is no more is stalled")
		}

		h.Observe(ProcessStatus{PID: 8, Started: time.Now()})
		h.want(t, fleet.InstanceStarting, "", 1)
		time.Sleep(20 * time.Second)
		h.want(t, fleet.InstanceStarting, "connection refused", 1)
		h.fake.set("/metrics", "process_start_time_seconds 1700000000\n"+vllmPage)
		h.Observe(ProcessStatus{PID: 8, Started: time.Now().Add(-20 * time.Second), Listening: true})
		h.want(t, fleet.InstanceRunning, "", 1) // at once: it was read because it listens now
		if diff := cmp.Diff(`state_transitions{from="starting",to="running",reason="first_answer"} 2
state_transitions{from="running",to="unreachable",reason="process_ended"} 1
state_transitions{from="unreachable",to="starting",reason="restarted"} 1
`, h.text(&catalog.InstanceTransitions)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// A restart is told by the page, by the process, or by both, in either order. It is one.
func TestRestartIsCountedOnce(t *testing.T) {
	{
		pageAt := func(start time.Time, tokens int) string {
			return fmt.Sprintf("process_start_time_seconds %d\nvllm:prompt_tokens_total{model_name=\"q\"} %d\n", start.Unix(), tokens)
		}
		for name, c := range map[string]struct {
			steps func(h *harness, scrape func(), old, fresh ProcessStatus)
			want  int
		}{
			"process, then page": {func(h *harness, scrape func(), _, fresh ProcessStatus) {
				h.Observe(fresh)
				scrape()
			}, 1},
			"page, then process": {func(h *harness, scrape func(), _, fresh ProcessStatus) {
				scrape()
				h.Observe(fresh)
				h.Observe(fresh)
			}, 1},
			"end, process, page": {func(h *harness, scrape func(), old, fresh ProcessStatus) {
				old.Gone = true
				h.Observe(old)
				h.Observe(fresh)
				scrape()
			}, 1},
			"end, page, process": {func(h *harness, scrape func(), old, fresh ProcessStatus) {
				old.Gone = true
				h.Observe(old)
				scrape()
				h.Observe(fresh)
			}, 1},
			"page, late end, process": {func(h *harness, scrape func(), old, fresh ProcessStatus) {
				scrape()
				old.Gone = true
				h.Observe(old)
				h.Observe(fresh)
			}, 1},
			"process without start time": {func(h *harness, scrape func(), _, fresh ProcessStatus) {
				scrape()
				fresh.Started = time.Time{}
				h.Observe(fresh)
			}, 1},
			"page, then a process that seems a little younger": {func(h *harness, scrape func(), _, fresh ProcessStatus) {
				shown := time.Now()
				scrape()
				fresh.Started = shown.Add(process.StartTolerance)
				h.Observe(fresh)
				scrape()
			}, 1},
			"page, then a process that is younger": {func(h *harness, scrape func(), _, fresh ProcessStatus) {
				shown := time.Now()
				scrape()
				fresh.Started = shown.Add(process.StartTolerance + time.Second)
				h.Observe(fresh)
				scrape()
			}, 2},
			"process without start time, somewhat later": {func(h *harness, scrape func(), _, fresh ProcessStatus) {
				shown := time.Now()
				scrape()
				fresh.Started = time.Time{}
				time.Sleep(time.Until(shown.Add(process.SameRestartWindow - time.Second)))
				h.Observe(fresh)
				scrape()
			}, 1},
			"process without start time, much later": {func(h *harness, scrape func(), _, fresh ProcessStatus) {
				shown := time.Now()
				scrape()
				fresh.Started = time.Time{}
				time.Sleep(time.Until(shown.Add(process.SameRestartWindow)))
				h.Observe(fresh)
				scrape()
			}, 2},
			"twice": {func(h *harness, scrape func(), _, fresh ProcessStatus) {
				scrape()
				h.Observe(fresh)
				time.Sleep(time.Minute)
				again := ProcessStatus{PID: 9, Started: time.Now(), Listening: true}
				h.Observe(again)
				h.fake.set("/metrics", pageAt(again.Started, 1))
				scrape()
				h.Observe(again)
			}, 2},
			"it did not end": {func(h *harness, scrape func(), old, _ ProcessStatus) {
				h.fake.set("/metrics", pageAt(old.Started, 60))
				gone := old
				gone.Gone = true
				h.Observe(gone)
				h.Observe(old)
				scrape()
			}, 0},
			"it did not end, and its page tells no start": {func(h *harness, scrape func(), old, _ ProcessStatus) {
				h.fake.set("/metrics", "vllm:prompt_tokens_total{model_name=\"q\"} 60\n")
				gone := old
				gone.Gone = true
				h.Observe(gone)
				h.Observe(old)
				scrape()
			}, 0},
			"its start time is set right": {func(h *harness, scrape func(), old, _ ProcessStatus) {
				h.fake.set("/metrics", pageAt(old.Started, 60))
				old.Started = old.Started.Add(time.Hour)
				h.Observe(old)
				scrape()
			}, 0},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					origin := time.Now()
					h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": pageAt(origin, 50)})
					scrape := func() { _ = h.scrape(t) }
					old := ProcessStatus{PID: 7, Started: origin, Listening: true}
					h.Observe(old)
					scrape()
					h.Observe(old)
					time.Sleep(time.Minute)
					fresh := ProcessStatus{PID: 8, Started: time.Now(), Listening: true}
					time.Sleep(3 * time.Second)
					h.fake.set("/metrics", pageAt(fresh.Started, 2))
					c.steps(h, scrape, old, fresh)
					s := h.Status()
					if s.RestartCount != c.want || s.State != fleet.InstanceRunning || s.LastRestartAt.IsZero() != (c.want == 0) {
						t.Errorf("got %d restarts, the last at %s, and %s %q", s.RestartCount, s.LastRestartAt, s.State, s.Message)
					}
					if c.want == 1 && s.LastRestartAt.Unix() != fresh.Started.Unix() {
						t.Errorf("restart at %s, want %s", s.LastRestartAt, fresh.Started)
					}
					scrape()
					if n := h.Status().RestartCount; n != c.want {
						t.Errorf("another page makes it %d restarts", n)
					}
				})
			})
		}
	}
}

// Where the number of a process is not known, its start time tells it from the next, which is not measured exactly.
func TestProcessWithoutANumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
		began := time.Now()
		h.Observe(ProcessStatus{Started: began})
		_ = h.scrape(t)
		for _, c := range []struct {
			by       time.Duration
			restarts int
		}{
			{process.StartTolerance, 0}, {-process.StartTolerance, 0}, {0, 0}, {process.StartTolerance + time.Second, 1},
		} {
			h.Observe(ProcessStatus{Started: began.Add(c.by)})
			if n := h.Status().RestartCount; n != c.restarts {
				t.Errorf("it seems to have started %s later: %d restarts, want %d", c.by, n, c.restarts)
			}
		}
	})
}

// What is learned of a process later, its number or its start time, tells it from the next one too, however it is seen then.
func TestProcessOfWhichMoreIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		number, start := ProcessStatus{PID: 7}, ProcessStatus{Started: began}
		both := ProcessStatus{PID: 7, Started: began}
		nextNumber, nextStart := ProcessStatus{PID: 8}, ProcessStatus{Started: began.Add(time.Minute)}
		for name, c := range map[string]struct {
			seen, next []ProcessStatus
		}{
			"its number":                       {[]ProcessStatus{number}, []ProcessStatus{nextNumber}},
			"its start":                        {[]ProcessStatus{start}, []ProcessStatus{nextStart}},
			"both":                             {[]ProcessStatus{both}, []ProcessStatus{nextNumber, nextStart}},
			"its number, then both":            {[]ProcessStatus{number, both}, []ProcessStatus{nextNumber, nextStart}},
			"its start, then both":             {[]ProcessStatus{start, both}, []ProcessStatus{nextNumber, nextStart}},
			"its number, then its start":       {[]ProcessStatus{number, start}, []ProcessStatus{nextNumber, nextStart}},
			"its start, then its number":       {[]ProcessStatus{start, number}, []ProcessStatus{nextNumber, nextStart}},
			"both, then neither":               {[]ProcessStatus{both, {}}, []ProcessStatus{nextNumber, nextStart}},
			"both, then less, again and again": {[]ProcessStatus{both, number, start, both, start, number}, []ProcessStatus{nextNumber, nextStart}},
		} {
			for _, next := range c.next {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
				_ = h.scrape(t)
				for _, o := range c.seen {
					h.Observe(o)
					h.want(t, fleet.InstanceRunning, "", 0)
				}
				h.Observe(next)
				if n := h.Status().RestartCount; n != 1 {
					t.Errorf("%s: %d restarts when another one is seen: %+v", name, n, next)
				}
			}
		}
	})
}

func TestEngineThatIsLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
		h.fake.status = 503
		_ = h.scrape(t)
		h.want(t, fleet.InstanceError, "answered 503", 0)
		h.Observe(ProcessStatus{PID: 7, Started: time.Now(), Listening: true})
		_ = h.scrape(t)
		h.want(t, fleet.InstanceStarting, "answered 503", 0)
		h.fake.status = 0
		h.fake.set("/metrics", vllmPage)
		_ = h.scrape(t)
		h.want(t, fleet.InstanceRunning, "", 0)
		h.fake.status = 503
		_ = h.scrape(t)
		h.want(t, fleet.InstanceError, "answered 503", 0)
	})
}

// An error that is over before anybody scrapes the worker is counted, and so is each reason.
func TestTransitionsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
		h.run(t)
		time.Sleep(time.Second)
		zeros := 0
		h.Collect(func(m *catalog.Metric, _ string, v float64, _ exposition.Labels) {
			if m == &catalog.InstanceTransitions && v == 0 {
				zeros++
			}
		}, "")
		if zeros != 6 {
			t.Errorf("%d transitions stand at 0, want the 6 that an alert waits for", zeros)
		}
		for range 3 {
			h.fake.set("/metrics", "<html>")
			_ = h.scrape(t)
			h.fake.set("/metrics", vllmPage)
			_ = h.scrape(t)
		}
		h.fake.hang()
		_ = h.scrape(t)
		h.fake.set("/metrics", vllmPage)
		_ = h.scrape(t)
		h.fake.fail(fmt.Errorf("weather"))
		_ = h.scrape(t)
		h.fake.fail(refused)
		_ = h.scrape(t)
		h.fake.set("/metrics", vllmPage)
		_ = h.scrape(t)
		if diff := cmp.Diff(`state_transitions{from="starting",to="running",reason="first_answer"} 1
state_transitions{from="running",to="error",reason="wrong_answer"} 3
state_transitions{from="running",to="unreachable",reason="timeout"} 1
state_transitions{from="running",to="unreachable",reason="lost"} 1
state_transitions{from="error",to="running",reason="answers_again"} 3
state_transitions{from="unreachable",to="running",reason="answers_again"} 1
state_transitions{from="unreachable",to="running",reason="restarted"} 1
`, h.text(&catalog.InstanceTransitions)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}
