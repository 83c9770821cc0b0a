package simengine

import (
	"bytes"
	"testing"
	"time"
)

// Ranks have lives of their own, share the front end, and all hang or idle together.
func TestRanks(t *testing.T) {
	c := &clock{t: tuesday(15)}
	e, err := New(Options{Profile: ProfileVLLM, Seed: 3, Now: c.now, Ranks: 3, Start: c.t.Add(-10 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	families := parse(t, e.page())
	generated := families["vllm:generation_tokens_total"]
	if n := len(generated.GetMetric()); n != 3 {
		t.Fatalf("%d ranks on the page", n)
	}
	ended := 0.0
	seen := map[float64]bool{}
	for _, rank := range []string{"engine=0", "engine=1", "engine=2"} {
		if tokens := total(generated, rank); tokens < 10_000 || seen[tokens] {
			t.Errorf("%s has generated %v tokens, others %v", rank, tokens, seen)
		} else {
			seen[tokens] = true
		}
		ended += total(families["vllm:e2e_request_latency_seconds"], rank)
		if total(families["vllm:cache_config_info"], rank) != 1 {
			t.Errorf("%s tells nothing of its cache", rank)
		}
	}
	if answered := total(families["http_requests_total"]); answered != ended || total(families["http_request_duration_seconds"]) != ended {
		t.Errorf("the front end has answered %v requests, its ranks %v", answered, ended)
	}

	e.Burst(300)
	for i, s := range e.ranks {
		if n := len(s.waiting) + len(s.running); n < 100 {
			t.Errorf("rank %d has %d of 300 requests", i, n)
		}
	}
	e.SetHang(HangHidden)
	for _, name := range []string{"vllm:num_requests_running", "vllm:num_requests_waiting"} {
		if n := total(parse(t, e.page())[name]); n != 0 {
			t.Errorf("%s is %v while requests are hidden", name, n)
		}
	}
	e.SetHang(NotHung)
	e.SetIdle(true)
	c.add(30 * time.Minute)
	if n := total(parse(t, e.page())["vllm:num_requests_running"]); n != 0 {
		t.Errorf("%v requests run half an hour after the last", n)
	}
	e.SetIdle(false)
	received := e.ranks[2].st.received
	c.add(5 * time.Minute)
	if e.page(); e.ranks[2].st.received == received {
		t.Error("nobody comes back to the last rank")
	}
}

func TestOneRankIsTheDefault(t *testing.T) {
	pages := make([][]byte, 2)
	for ranks := range pages {
		c := &clock{t: tuesday(15)}
		e, err := New(Options{Profile: ProfileVLLM, Seed: 3, Now: c.now, Ranks: ranks, Start: c.t.Add(-time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		pages[ranks] = e.page()
	}
	if !bytes.Equal(pages[0], pages[1]) {
		t.Error("no ranks and one rank differ")
	}
	for _, o := range []Options{{Profile: ProfileVLLM, Ranks: -1}, {Profile: ProfileVLLM, Ranks: MaxRanks + 1}, {Profile: ProfileSGLang, Ranks: 2}} {
		if _, err := New(o); err == nil {
			t.Errorf("%s with %d ranks is taken", o.Profile, o.Ranks)
		}
	}
}

func TestRestart(t *testing.T) {
	for _, profile := range Profiles() {
		c := &clock{t: tuesday(15)}
		e, err := New(Options{Profile: profile, Seed: 3, Now: c.now, Start: c.t.Add(-10 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		before := e.born()
		received := e.sim.st.received
		e.SetHang(HangShown)
		c.add(time.Minute)
		e.Restart()
		if e.page(); e.sim.st.received != 0 || len(e.sim.running) != 0 {
			t.Errorf("%s: %d requests right after the restart", profile, e.sim.st.received)
		}
		c.add(time.Minute)
		if e.page(); e.sim.st.received < 10 || e.sim.st.received >= received {
			t.Errorf("%s: %d requests in the minute after the restart, %d in ten minutes before", profile, e.sim.st.received, received)
		}
		if e.born()-before < 9*60 {
			t.Errorf("%s: born %v, before the restart %v", profile, e.born(), before)
		}
	}
}
