package engine

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// sums returns the sum of each phase.
func (h *harness) sums() map[string]float64 {
	sums := map[string]float64{}
	h.Collect(func(m *catalog.Metric, suffix string, v float64, labels exposition.Labels) {
		if m == &catalog.InstancePhase && suffix == "_sum" {
			sums[strings.Trim(strings.TrimPrefix(string(labels), "phase="), `"`)] = v
		}
	}, "")
	return sums
}

func TestPhases(t *testing.T) {
	// look is what is seen for some seconds from a second on.
	type look struct {
		from int
		o    ProcessStatus
	}
	const all = 300 // the page answers
	gpu := func(listening, holds bool) ProcessStatus {
		return ProcessStatus{PID: 7, Listening: listening, GPUKnown: true, HoldsGPU: holds}
	}
	blind := func(listening bool) ProcessStatus { return ProcessStatus{PID: 7, Listening: listening} }
	for name, c := range map[string]struct {
		first  int // when the process is first seen, seconds after its start
		looks  []look
		failed bool // the page was tried before and nothing listened
		want   map[string]float64
	}{
		"all of it":                   {1, []look{{1, gpu(false, false)}, {20, gpu(false, true)}, {280, gpu(true, true)}}, false, map[string]float64{"initializing": 20, "loading": 260, "starting": 20, "all": 300}},
		"GPUs are not known":          {1, []look{{1, blind(false)}, {280, blind(true)}}, false, map[string]float64{"initializing": 280, "starting": 20, "all": 300}},
		"it holds no GPU":             {1, []look{{1, gpu(false, false)}, {280, gpu(true, false)}}, false, map[string]float64{"initializing": 280, "starting": 20, "all": 300}},
		"it listens before it loads":  {1, []look{{1, gpu(false, false)}, {5, gpu(true, false)}, {50, gpu(true, true)}}, false, map[string]float64{"initializing": 50, "starting": 250, "all": 300}},
		"seen in the middle":          {100, []look{{100, gpu(false, true)}, {280, gpu(true, true)}}, false, map[string]float64{"starting": 20, "all": 300}},
		"seen before it held a GPU":   {15, []look{{15, gpu(false, false)}, {20, gpu(false, true)}, {280, gpu(true, true)}}, false, map[string]float64{"initializing": 20, "loading": 260, "starting": 20, "all": 300}},
		"young and holds a GPU":       {9, []look{{9, gpu(false, true)}, {280, gpu(true, true)}}, false, map[string]float64{"initializing": 9, "loading": 271, "starting": 20, "all": 300}},
		"found running":               {100, []look{{100, gpu(true, true)}}, false, map[string]float64{}},
		"found listening, not loaded": {100, []look{{100, gpu(true, true)}}, true, map[string]float64{"all": 300}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
				began := time.Now()
				time.Sleep(time.Duration(c.first) * time.Second)
				for second := c.first; second < all; second++ {
					at := 0
					for i, l := range c.looks {
						if l.from <= second {
							at = i
						}
					}
					o := c.looks[at].o
					o.Started = began
					h.Observe(o)
					if c.failed && second == c.first {
						h.fetchFailed(h.beginFetch(), wrongOf(503))
					}
					time.Sleep(time.Second)
				}
				h.pageFetched(h.beginFetch(), []byte(vllmPage))
				for range 3 {
					h.Observe(gpu(true, true))
					h.pageFetched(h.beginFetch(), []byte(vllmPage))
				}
				if diff := cmp.Diff(c.want, h.sums()); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		})
	}
}

func wrongOf(status int) error {
	e := &fetch.Error{Kind: fetch.WrongAnswer, Detail: "no"}
	e.Status = status
	return e
}

func TestPhaseHistogram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
		// An engine in a loop: 1 s, 90 s and two hours.
		for pid, took := range []time.Duration{time.Second, 90 * time.Second, 2 * time.Hour} {
			h.Observe(ProcessStatus{PID: pid + 1, Started: time.Now()})
			time.Sleep(took)
			h.pageFetched(h.beginFetch(), []byte(vllmPage))
			h.Observe(ProcessStatus{PID: pid + 1, Gone: true})
		}
		// A start that comes to nothing is none.
		h.Observe(ProcessStatus{PID: 9, Started: time.Now()})
		time.Sleep(time.Minute)
		h.Observe(ProcessStatus{PID: 9, Gone: true})
		got := h.text(&catalog.InstancePhase)
		got = got[strings.Index(got, `phase="all"`)-len("phase_duration_seconds_bucket{"):]
		if diff := cmp.Diff(`phase_duration_seconds_bucket{phase="all",le="1"} 1
phase_duration_seconds_bucket{phase="all",le="2.5"} 1
phase_duration_seconds_bucket{phase="all",le="5"} 1
phase_duration_seconds_bucket{phase="all",le="10"} 1
phase_duration_seconds_bucket{phase="all",le="20"} 1
phase_duration_seconds_bucket{phase="all",le="30"} 1
phase_duration_seconds_bucket{phase="all",le="60"} 1
phase_duration_seconds_bucket{phase="all",le="120"} 2
phase_duration_seconds_bucket{phase="all",le="180"} 2
phase_duration_seconds_bucket{phase="all",le="300"} 2
phase_duration_seconds_bucket{phase="all",le="600"} 2
phase_duration_seconds_bucket{phase="all",le="900"} 2
phase_duration_seconds_bucket{phase="all",le="1800"} 2
phase_duration_seconds_bucket{phase="all",le="3600"} 2
phase_duration_seconds_bucket{phase="all",le="+Inf"} 3
phase_duration_seconds_sum{phase="all"} 7291
phase_duration_seconds_count{phase="all"} 3
`, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// A clock that is set back makes processes that started in times to come.
func TestPhasesWhenTheClockSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for ahead, want := range map[time.Duration]int{time.Second: 1, time.Hour: 0} {
			h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
			h.Observe(ProcessStatus{PID: 7, Started: time.Now().Add(ahead)})
			h.pageFetched(h.beginFetch(), []byte(vllmPage))
			for phase, sum := range h.sums() {
				if sum < 0 {
					t.Errorf("%s took %v", phase, sum)
				}
			}
			if n := len(h.sums()); (n > 0) != (want > 0) {
				t.Errorf("started %s ahead: %d phases", ahead, n)
			}
		}
	})
}

// The page of a young process may be read before anybody looks at the process, and whether it listens is not always known.
func TestPageBeforeTheFirstLook(t *testing.T) {
	for age, want := range map[time.Duration]map[string]float64{
		3 * time.Second: {"all": 2}, freshStart - 1: {"all": 2}, freshStart: {}, time.Minute: {},
	} {
		for _, listening := range []bool{true, false} {
			t.Run(fmt.Sprintf("seen at the age of %s, listening %t", age, listening), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
					began := time.Now()
					time.Sleep(2 * time.Second)
					h.pageFetched(h.beginFetch(), []byte(vllmPage))
					time.Sleep(age - 2*time.Second)
					for range 3 {
						h.Observe(ProcessStatus{PID: 7, Started: began, Listening: listening})
						h.pageFetched(h.beginFetch(), []byte(vllmPage))
					}
					if diff := cmp.Diff(want, h.sums()); diff != "" {
						t.Errorf("(-want +got)\n%s", diff)
					}
				})
			})
		}
	}
}

// A restart that the page shows before anybody looks at the new process has a start of its own.
func TestPageOfARestartBeforeTheFirstLook(t *testing.T) {
	for name, page := range map[string]func(run, tokens int) string{
		"its page tells when it started": func(run, tokens int) string { return startedAt(int64(1000*run), tokens) },
		"its counters fell":              func(_, tokens int) string { return startedAt(0, tokens) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
				h.Observe(ProcessStatus{PID: 1, Started: time.Now().Add(-time.Hour), Listening: true})
				h.pageFetched(h.beginFetch(), []byte(page(1, 90)))
				for run := 2; run < 4; run++ {
					time.Sleep(time.Hour)
					began := time.Now()
					time.Sleep(3 * time.Second)
					h.pageFetched(h.beginFetch(), []byte(page(run, 90/run)))
					time.Sleep(time.Second)
					for range 3 {
						h.Observe(ProcessStatus{PID: run, Started: began, Listening: true})
						h.pageFetched(h.beginFetch(), []byte(page(run, 90/run)))
					}
				}
				h.want(t, fleet.InstanceRunning, "", 2)
				if diff := cmp.Diff(map[string]float64{"all": 6}, h.sums()); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		})
	}
}

// How long a start took is not known of a process that ended meanwhile, or seemed to: the page may be another's.
func TestStartOfAProcessThatEnded(t *testing.T) {
	for name, after := range map[string]func(h *harness, began time.Time){
		"nothing is seen":      func(*harness, time.Time) {},
		"it is there again":    func(h *harness, began time.Time) { h.Observe(ProcessStatus{PID: 7, Started: began, Listening: true}) },
		"it is told once more": func(h *harness, began time.Time) { h.Observe(ProcessStatus{PID: 7, Started: began, Gone: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
				began := time.Now()
				h.Observe(ProcessStatus{PID: 7, Started: began})
				time.Sleep(time.Minute)
				h.Observe(ProcessStatus{PID: 7, Started: began, Gone: true})
				time.Sleep(time.Hour)
				after(h, began)
				h.pageFetched(h.beginFetch(), []byte(vllmPage))
				h.want(t, fleet.InstanceRunning, "", 0)
				if sums := h.sums(); len(sums) != 0 {
					t.Errorf("phases took %v", sums)
				}
			})
		})
	}
}
