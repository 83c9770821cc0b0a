package exporter

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// told is an engine that is told what became of its pages.
type told struct {
	*fakeEngine
	mu   sync.Mutex
	made []Translation
	late bool // told after a page was released
}

func (e *told) Fetch(ctx context.Context) (Page, error) {
	p, err := e.fakeEngine.Fetch(ctx)
	released, release := false, p.Release
	p.Translated = func(t Translation) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.made, e.late = append(e.made, t), e.late || released
	}
	p.Release = func() {
		e.mu.Lock()
		released = true
		e.mu.Unlock()
		release()
	}
	return p, err
}

// An engine is told once for each page what the mapping made of it, whoever scrapes it.
func TestEngineIsToldWhatBecameOfItsPage(t *testing.T) {
	for name, c := range map[string]struct {
		page   string
		change func(e *told, x *Exporter)
		want   Translation
	}{
		"a page":                {page: vllmPage, want: Translation{Samples: 2, Fed: 2, Countable: 28}},
		"an empty page":         {page: "", want: Translation{Countable: 28}},
		"nothing for a version": {page: "vllm:gpu_prefix_cache_hits_total 1\n", change: func(e *told, _ *Exporter) { e.instance.Version = "0.5" }, want: Translation{Countable: 28}},
		"an unknown runtime":    {page: vllmPage, change: func(e *told, _ *Exporter) { e.instance.Runtime = "mine" }, want: Translation{Countable: 28}},
		"a gateway": {
			page:   "litellm_in_flight_requests 1\n",
			change: func(e *told, _ *Exporter) { e.instance.Runtime, e.instance.Gateway = "LiteLLM", true },
			want:   Translation{Samples: 1, Fed: 1, Countable: 8},
		},
		"one of two samples": {page: vllmPage, change: func(_ *told, x *Exporter) { x.maxSeries = 1 }, want: Translation{Samples: 1, Fed: 1, Countable: 28}},
	} {
		t.Run(name, func(t *testing.T) {
			e := &told{fakeEngine: newEngine("a")}
			e.set(c.page, nil)
			x, _ := newExporter(t, e)
			if c.change != nil {
				c.change(e, x)
			}
			get(t, x.Handler(), "/metrics")
			get(t, x.Handler(), "/metrics/raw") // nothing is translated
			get(t, x.Handler(), "/metrics?cluster_labels=target")
			if diff := cmp.Diff([]Translation{c.want, c.want}, e.made); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if e.late {
				t.Error("it was told after its page was released")
			}
		})
	}
}

// A page of which nothing is left for lack of room says nothing about the engine.
func TestEngineIsNotToldOfALackOfRoom(t *testing.T) {
	e := &told{fakeEngine: newEngine("a")}
	x, _ := newExporter(t, e)
	x.newSeries = 1
	e.set("vllm:num_requests_running{a=\"1\"} 1\nvllm:num_requests_running{a=\"2\"} 1\nvllm:num_requests_running{a=\"3\"} 1\n", nil)
	get(t, x.Handler(), "/metrics")
	e.set("vllm:num_requests_running{a=\"4\"} 1\nvllm:num_requests_running{a=\"5\"} 1\n", nil)
	get(t, x.Handler(), "/metrics")
	if diff := cmp.Diff([]Translation{{Samples: 1, Fed: 1, Countable: 28}}, e.made); diff != "" {
		t.Errorf("of two pages, none of the second one's series are accepted (-want +got)\n%s", diff)
	}
}
