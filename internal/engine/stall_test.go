package engine

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/simengine"
)

// played is a simulated engine without a network.
type played struct{ handler http.Handler }

func (p played) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// simulate makes an engine that reads a simulated one, which has worked for an hour.
func simulate(t *testing.T, profile string, stallAfter time.Duration) (*harness, *simengine.Engine) {
	t.Helper()
	sim, err := simengine.New(simengine.Options{Profile: profile, Seed: 3, Start: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	h := newHarnessOf(t, "http://127.0.0.1:8000", played{sim.Handler()}, stallAfter)
	h.run(t)
	return h, sim
}

// look tells the engine every second for d what its GPUs do.
func (h *harness) look(d time.Duration, busy func(second int) bool) {
	for second := range int(d / time.Second) {
		h.Observe(ProcessStatus{PID: 7, Listening: true, GPUKnown: true, HoldsGPU: true, GPUBusy: busy(second)})
		time.Sleep(time.Second)
	}
}

func always(int) bool { return true }
func never(int) bool  { return false }

func (h *harness) wantStalled(t *testing.T, want bool, when string) {
	t.Helper()
	synctest.Wait()
	s := h.Status()
	if s.Stalled != want || strings.Contains(s.Message, "no token for") != want {
		t.Errorf("%s: stalled is %t, %s %q", when, s.Stalled, s.State, s.Message)
	}
	if got := h.sample(&catalog.InstanceStalled); (got == 1) != want {
		t.Errorf("%s: exported %v", when, got)
	}
}

// sample returns the value of a family without labels of its own, -1 if it is absent.
func (h *harness) sample(m *catalog.Metric) float64 {
	value := -1.
	h.Collect(func(got *catalog.Metric, _ string, v float64, _ exposition.Labels) {
		if got == m {
			value = v
		}
	}, "")
	return value
}

func TestHangThatShowsItsRequests(t *testing.T) {
	for _, profile := range simengine.Profiles() {
		t.Run(profile, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, sim := simulate(t, profile, 0)
				time.Sleep(5 * time.Minute)
				h.wantStalled(t, false, "while it works")
				sim.Burst(3)
				time.Sleep(time.Second)
				changes := h.changes
				sim.SetHang(simengine.HangShown)
				began := time.Now()
				time.Sleep(DefaultStallAfter - time.Second)
				h.wantStalled(t, false, "before its time")
				// Progress was last seen by a read within the interval after the hang began.
				time.Sleep(checkInterval + 2*time.Second)
				h.wantStalled(t, true, "after its time")
				if s := h.Status(); s.State != fleet.InstanceRunning || !strings.Contains(s.Message, "in flight") {
					t.Errorf("got %s %q", s.State, s.Message)
				}
				if last := h.sample(&catalog.InstanceLastProgress); last < unixSeconds(began)-1 || last > unixSeconds(began)+30 {
					t.Errorf("last progress %f, the hang began at %f", last, unixSeconds(began))
				}
				time.Sleep(time.Hour)
				h.wantStalled(t, true, "an hour later")
				if n := h.changes - changes; n != 1 {
					t.Errorf("%d changes were told for one stall", n)
				}
				sim.SetHang(simengine.NotHung)
				time.Sleep(checkInterval + time.Second)
				h.wantStalled(t, false, "after it recovered")
				if n := h.changes - changes; n != 2 {
					t.Errorf("%d changes were told for one stall and its end", n)
				}
				if n := strings.Count(h.log.String(), "engine is stalled"); n != 1 {
					t.Errorf("logged %d times:\n%s", n, h.log)
				}
			})
		})
	}
}

func TestHangThatHidesItsRequestsButKeepsItsGPUBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sim := simulate(t, simengine.ProfileVLLM, time.Minute)
		h.look(2*time.Minute, always)
		h.wantStalled(t, false, "while it works")
		sim.SetHang(simengine.HangHidden)
		h.look(50*time.Second, always)
		h.wantStalled(t, false, "before its time")
		h.look(35*time.Second, always)
		h.wantStalled(t, true, "after its time")
		if m := h.Status().Message; !strings.HasSuffix(m, "with its GPUs busy") {
			t.Errorf("got %q", m)
		}
		// Some process was killed in it: the GPU is free.
		h.look(time.Minute, never)
		h.wantStalled(t, false, "with its GPU idle")
		sim.SetHang(simengine.NotHung)
		h.look(time.Minute, always)
		h.wantStalled(t, false, "after it recovered")
	})
}

// A GPU that flickers is busy as long as it is so most of the time.
func TestFlickeringCards(t *testing.T) {
	for name, c := range map[string]struct {
		busy func(int) bool
		want bool
	}{
		"nearly always":        {func(s int) bool { return s%10 != 0 }, true},
		"two seconds of three": {func(s int) bool { return s%3 != 0 }, true},
		"one second of three":  {func(s int) bool { return s%3 == 0 }, false},
		"a check now and then": {func(s int) bool { return s%10 < 2 }, false},
		"ten seconds a minute": {func(s int) bool { return s%60 < 10 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, sim := simulate(t, simengine.ProfileVLLM, 0)
				sim.SetIdle(true)
				h.look(5*time.Minute, never)
				h.look(10*time.Minute, c.busy)
				h.wantStalled(t, c.want, name)
			})
		})
	}
}

func TestHangOfThePageToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sim := simulate(t, simengine.ProfileSGLang, time.Minute)
		h.look(time.Minute, always)
		sim.SetHang(simengine.HangSilent)
		h.look(90*time.Second, always)
		h.wantStalled(t, true, "after its time")
		if s := h.Status(); s.State != fleet.InstanceUnreachable || !strings.HasPrefix(s.Message, "no complete answer before the scrape's deadline") {
			t.Errorf("got %s %q", s.State, s.Message)
		}
		sim.SetHang(simengine.NotHung)
		h.look(time.Minute, always)
		h.wantStalled(t, false, "after it recovered")
	})
}

// Where nothing is known of the GPUs the requests of the last page count.
func TestPageHangsWithRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
		h.run(t)
		time.Sleep(time.Second)
		h.fake.hang()
		time.Sleep(DefaultStallAfter - 2*time.Second)
		h.wantStalled(t, false, "before its time")
		time.Sleep(2 * time.Second)
		h.wantStalled(t, true, "at its time: no page can say otherwise")
		h.fake.fail(refused)
		time.Sleep(time.Minute)
		h.wantStalled(t, false, "when nothing listens any more")
	})
}

func TestIdleEngineIsNeverStalled(t *testing.T) {
	hours := 24
	if testing.Short() {
		hours = 1
	}
	for _, profile := range simengine.Profiles() {
		t.Run(profile, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, sim := simulate(t, profile, 0)
				h.look(time.Minute, always)
				sim.SetIdle(true)
				h.look(time.Minute, always) // what runs is finished
				for range hours * 60 {
					h.look(time.Minute, func(second int) bool { return second == 30 })
					if s := h.Status(); s.Stalled || s.State != fleet.InstanceRunning {
						t.Fatalf("an idle engine is %s %q", s.State, s.Message)
					}
				}
				// A request after that time is not a stall from before it.
				sim.SetIdle(false)
				h.look(time.Minute, always)
				h.wantStalled(t, false, "with new requests")
			})
		})
	}
}

func TestStallIsSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sim := simulate(t, simengine.ProfileVLLM, -1)
		h.look(time.Minute, always)
		sim.SetHang(simengine.HangShown)
		h.look(time.Hour, always)
		if h.Status().Stalled || h.sample(&catalog.InstanceStalled) != -1 || h.sample(&catalog.InstanceLastProgress) < 0 {
			t.Errorf("stalled %t, exported %v, progress %v", h.Status().Stalled, h.sample(&catalog.InstanceStalled), h.sample(&catalog.InstanceLastProgress))
		}
	})
}

func vllmAt(running, tokens int) string {
	return fmt.Sprintf("vllm:num_requests_running{model_name=\"q\"} %d\nvllm:num_requests_waiting{model_name=\"q\"} 0\nvllm:generation_tokens_total{model_name=\"q\"} %d\n", running, tokens)
}

// steps plays pages for the time given with each.
func (h *harness) steps(pages ...any) {
	for i := 0; i < len(pages); i += 2 {
		h.fake.set("/metrics", pages[i].(string))
		time.Sleep(pages[i+1].(time.Duration))
	}
}

func TestStallClock(t *testing.T) {
	type pages = []any
	for name, c := range map[string]struct {
		pages pages
		want  bool
	}{
		"prefill of a long prompt for 90 s": {pages{vllmAt(0, 50), time.Hour, vllmAt(1, 50), 90 * time.Second, vllmAt(1, 51), 90 * time.Second, vllmAt(0, 60), 100 * time.Second}, false},
		"a request after an idle hour":      {pages{vllmAt(0, 50), time.Hour, vllmAt(1, 50), 100 * time.Second}, false},
		"that request hangs":                {pages{vllmAt(0, 50), time.Hour, vllmAt(1, 50), 151 * time.Second}, true},
		"work with an interruption":         {pages{vllmAt(1, 50), 100 * time.Second, vllmAt(0, 50), 40 * time.Second, vllmAt(1, 50), 80 * time.Second}, false},
		"first request ever compiles":       {pages{vllmAt(0, 0), time.Hour, vllmAt(1, 0), 9 * time.Minute}, false},
		"first request ever hangs":          {pages{vllmAt(0, 0), time.Hour, vllmAt(1, 0), 11 * time.Minute}, true},
		"counters fell: another process":    {pages{vllmAt(1, 50), 100 * time.Second, vllmAt(1, 3), 100 * time.Second}, false},
		"counts only ended requests":        {pages{"trtllm_num_requests_running 1\ntrtllm_generation_tokens_total 9\n", 9 * time.Minute}, false},
		"and ends none":                     {pages{"trtllm_num_requests_running 1\ntrtllm_generation_tokens_total 9\n", 11 * time.Minute}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
				h.run(t)
				h.steps(c.pages...)
				h.wantStalled(t, c.want, name)
			})
		})
	}
}

// Time alone makes no stall as long as pages come: the next one may show progress.
func TestStallNeedsAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
		h.pageFetched(h.beginFetch(), []byte(vllmAt(1, 5)))
		h.look(DefaultStallAfter+10*time.Second, always)
		h.wantStalled(t, false, "with the page from before")
		h.pageFetched(h.beginFetch(), []byte(vllmAt(1, 6)))
		h.look(DefaultStallAfter-time.Second, always)
		h.pageFetched(h.beginFetch(), []byte(vllmAt(1, 6)))
		h.wantStalled(t, false, "with a page a second before its time")
		time.Sleep(2 * time.Second)
		h.pageFetched(h.beginFetch(), []byte(vllmAt(1, 6)))
		h.wantStalled(t, true, "with a page after its time")
	})
}

func TestEngineWhoseCountersAreNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,runtime=other", map[string]string{"/metrics": "other_running 3\nother_tokens_total 5\n"})
		h.run(t)
		h.look(time.Hour, always)
		if h.Status().Stalled || h.sample(&catalog.InstanceStalled) != -1 || h.sample(&catalog.InstanceLastProgress) != -1 {
			t.Error("something is said about progress that nobody knows")
		}
	})
}

func TestFamiliesBeforeTheFirstPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q", map[string]string{})
		h.fake.fail(refused)
		h.run(t)
		h.look(time.Hour, always)
		if h.sample(&catalog.InstanceStalled) != -1 || h.sample(&catalog.InstanceLastProgress) != -1 || h.Status().Stalled {
			t.Error("something is said about progress before the first page")
		}
	})
}

func TestReadOftenEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{pages: map[string]string{"/metrics": vllmAt(1, 5)}}
		h := newHarnessOf(t, "url=http://127.0.0.1:8000,model=q,version=1", f, 12*time.Second)
		h.run(t)
		time.Sleep(time.Minute)
		if n := f.count("/metrics"); n < 14 || n > 20 {
			t.Errorf("%d reads in a minute with work, want one in 4 s", n)
		}
		f.set("/metrics", vllmAt(0, 5))
		time.Sleep(10 * time.Second)
		before := f.count("/metrics")
		time.Sleep(10 * time.Minute)
		if n := f.count("/metrics") - before; n < 18 || n > 22 {
			t.Errorf("%d reads in ten minutes without work", n)
		}
		// The GPUs become busy in the middle of a pause.
		h.look(14*time.Second, always)
		h.wantStalled(t, true, "with a GPU busy for 14 s")
	})
}

func TestLastProgressIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmAt(1, 5)})
		_ = h.scrape(t)
		if !h.History().LastProgress.IsZero() {
			t.Error("one page shows no progress")
		}
		h.fake.set("/metrics", vllmAt(1, 6))
		time.Sleep(time.Second)
		_ = h.scrape(t)
		if at := h.History().LastProgress; time.Since(at) > identityWait {
			t.Errorf("got %s", at)
		}
	})
}

func TestIdleRankWorksInLockstep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmAt(0, 5)})
		h.run(t)
		look := func(d time.Duration) {
			for range int(d / time.Second) {
				h.Observe(ProcessStatus{PID: 7, Listening: true, GPUKnown: true, HoldsGPU: true, GPUBusy: true, Lockstep: true})
				time.Sleep(time.Second)
			}
		}
		look(time.Hour)
		h.wantStalled(t, false, "without requests of its own")
		h.fake.set("/metrics", vllmAt(1, 5))
		look(5 * time.Minute)
		h.wantStalled(t, true, "with one")
	})
}

func TestGaugesThatLag(t *testing.T) {
	at := func(running, tokens int) string {
		return fmt.Sprintf("# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs %d\n# TYPE sglang:realtime_tokens_total counter\nsglang:realtime_tokens_total %d\n", running, tokens)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fake{pages: map[string]string{"/metrics": at(3, 5)}}
		h := newHarnessOf(t, "url=http://127.0.0.1:30000,model=q,version=1", f, 6*time.Second)
		h.run(t)
		time.Sleep(5 * time.Second)
		f.set("/metrics", at(3, 6)) // the last token
		for range 35 {
			time.Sleep(time.Second)
			h.wantStalled(t, false, "with requests that have ended")
		}
		f.set("/metrics", at(0, 6))
		time.Sleep(5 * time.Minute)
		h.wantStalled(t, false, "idle")
		f.set("/metrics", at(3, 6))
		time.Sleep(2 * time.Minute)
		h.wantStalled(t, true, "with requests that stay")
	})
}

// What an engine answers says whether the requests of its last page are still there; its silence says nothing.
func TestRequestsOfAnEngineWithoutAPage(t *testing.T) {
	for name, c := range map[string]struct {
		turn func(*fake)
		want bool
	}{
		"HTML":    {func(f *fake) { f.set("/metrics", "<html>") }, false},
		"503":     {func(f *fake) { f.answers(http.StatusServiceUnavailable) }, false},
		"refused": {func(f *fake) { f.fail(refused) }, false},
		"lost":    {func(f *fake) { f.fail(io.EOF) }, true},
		"hangs":   {(*fake).hang, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmAt(1, 5)})
				h.run(t)
				time.Sleep(time.Second)
				c.turn(h.fake)
				time.Sleep(3 * DefaultStallAfter)
				h.wantStalled(t, c.want, name)
			})
		})
	}
}

// Gauges that lag are no reason to wait where GPUs show that the requests are there.
func TestGaugesThatLagWithACardAtWork(t *testing.T) {
	const page = "# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs 3\n# TYPE sglang:realtime_tokens_total counter\nsglang:realtime_tokens_total 5\n"
	for busy, want := range map[bool]bool{true: true, false: false} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarnessOf(t, "url=http://127.0.0.1:30000,model=q,version=1", &fake{pages: map[string]string{"/metrics": page}}, 6*time.Second)
			h.run(t)
			h.look(20*time.Second, func(int) bool { return busy })
			h.wantStalled(t, want, fmt.Sprintf("after 20 s with GPUs busy %t", busy))
			h.look(time.Minute, func(int) bool { return busy })
			h.wantStalled(t, true, "after more than the gauges lag")
		})
	}
}

// However short a stall may be, an engine is read once a second at most.
func TestReadNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{pages: map[string]string{"/metrics": vllmAt(1, 5)}}
		h := newHarnessOf(t, "url=http://127.0.0.1:8000,model=q,version=1", f, time.Second)
		h.run(t)
		time.Sleep(time.Minute)
		if n := f.count("/metrics"); n < 55 || n > 65 {
			t.Errorf("%d reads in a minute, want one in a second", n)
		}
	})
}

// A counter that is no number moves never.
func TestCountersThatAreNoNumbers(t *testing.T) {
	for _, value := range []string{"NaN", "+Inf", "-Inf", "many"} {
		synctest.Test(t, func(t *testing.T) {
			page := "vllm:num_requests_running{model_name=\"q\"} 1\nvllm:prompt_tokens_total{model_name=\"q\"} 5\nvllm:generation_tokens_total{model_name=\"q\"} " + value + "\n"
			h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": page})
			h.run(t)
			time.Sleep(3 * DefaultStallAfter)
			h.wantStalled(t, true, value)
		})
	}
}

// A new process that loads its model and compiles for its first requests keeps its GPUs busy and generates nothing. It has the
// patience that one has which was never seen before, counted from its own beginning.
func TestNewProcessThatLoads(t *testing.T) {
	for name, ended := range map[string]bool{"its end was seen": true, "its end was not seen": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{pages: map[string]string{"/metrics": vllmAt(1, 5)}}
				h := newHarnessOf(t, "url=http://127.0.0.1:8000,model=q,version=1", f, time.Minute)
				h.run(t)
				h.look(50*time.Second, always)
				if ended {
					h.Observe(ProcessStatus{PID: 7, Gone: true})
				}
				f.fail(refused)
				look := func(d time.Duration) {
					for range int(d / time.Second) {
						h.Observe(ProcessStatus{PID: 8, GPUKnown: true, HoldsGPU: true, GPUBusy: true})
						time.Sleep(time.Second)
					}
				}
				look(minSlowStallAfter - 5*time.Second)
				h.wantStalled(t, false, "before its patience is over")
				look(2 * checkInterval)
				h.wantStalled(t, true, "after it")
			})
		})
	}
}
