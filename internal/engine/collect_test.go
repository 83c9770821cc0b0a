package engine

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/simengine"
)

func TestCollect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmAt(1, 5)})
		h.Observe(ProcessStatus{PID: 7, Started: time.Now(), GPUKnown: true})
		time.Sleep(2 * time.Second)
		h.Observe(ProcessStatus{PID: 7, Started: time.Now(), GPUKnown: true, HoldsGPU: true})
		time.Sleep(4 * time.Second)
		h.Observe(ProcessStatus{PID: 7, Started: time.Now(), GPUKnown: true, HoldsGPU: true, Listening: true})
		time.Sleep(time.Second)
		h.pageFetched(h.beginFetch(), []byte(vllmAt(1, 5)))
		time.Sleep(time.Second)
		h.pageFetched(h.beginFetch(), []byte(vllmAt(1, 6)))
		var order []string
		seen := map[string]int{}
		h.Collect(func(m *catalog.Metric, suffix string, v float64, labels exposition.Labels) {
			if len(order) == 0 || order[len(order)-1] != m.Name {
				order = append(order, m.Name)
			}
			if suffix != "_bucket" && v > 0 {
				seen[fmt.Sprintf("%s%s{%s} %v", m.Name, suffix, labels, v)]++
			}
		}, `model_instance_name="a"`)
		const p = "gpustack:model_instance_"
		if diff := cmp.Diff([]string{p + "last_progress_timestamp_seconds", p + "stalled", p + "phase_duration_seconds", p + "state_transitions"}, order); diff != "" {
			t.Errorf("families: (-want +got)\n%s", diff)
		}
		want := map[string]int{p + `state_transitions{model_instance_name="a",from="starting",to="running",reason="first_answer"} 1`: 1}
		want[p+fmt.Sprintf(`last_progress_timestamp_seconds{model_instance_name="a"} %v`, float64(time.Now().Unix()))]++
		for phase, sum := range map[string]int{"initializing": 2, "loading": 4, "starting": 1, "all": 7} {
			want[p+fmt.Sprintf(`phase_duration_seconds_sum{model_instance_name="a",phase=%q} %d`, phase, sum)]++
			want[p+fmt.Sprintf(`phase_duration_seconds_count{model_instance_name="a",phase=%q} 1`, phase)]++
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}

		samples := 0
		emit := func(*catalog.Metric, string, float64, exposition.Labels) { samples++ }
		for _, instance := range []exposition.Labels{`a="1"`, `a="2"`} {
			h.Collect(emit, instance)
		}
		if n := testing.AllocsPerRun(100, func() { h.Collect(emit, `a="1"`); h.Collect(emit, `a="2"`) }); n > 0 {
			t.Errorf("%v allocations to collect what was rendered before", n)
		}
		for i := range 3 * maxRendered {
			h.Collect(emit, exposition.Labels(fmt.Sprintf(`a="%d"`, i)))
		}
		if n := len(h.rendered); n > maxRendered {
			t.Errorf("%d renderings are kept", n)
		}
	})
}

// What an engine's page costs beside its fetch.
func BenchmarkAnswered(b *testing.B) {
	sim, err := simengine.New(simengine.Options{Profile: simengine.ProfileVLLM, Start: time.Now().Add(-time.Minute)})
	if err != nil {
		b.Fatal(err)
	}
	w := httptest.NewRecorder()
	sim.Handler().ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil))
	page := w.Body.Bytes()
	e, err := New(Options{Declaration: Declaration{URL: "http://127.0.0.1:1", Path: "/metrics"}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		e.pageFetched(e.beginFetch(), page)
	}
}
