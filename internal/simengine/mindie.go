package simengine

import "math"

// mindiePage writes what MindIE's prometheus-cpp does: names without prefix, one label, _count and _sum before the buckets.
type mindiePage struct{ page }

func (p *mindiePage) counter(name, help string, l labels, n uint64) {
	p.family(name, "counter", help)
	p.sample(name, "", l, float64(n))
}

func (p *mindiePage) histogram(name, help string, l labels, h *histogram) {
	p.family(name, "histogram", help)
	p.sample(name, "_count", l, float64(h.count))
	p.sample(name, "_sum", l, h.sum)
	p.buckets(name, l, h)
}

func (e *Engine) renderMindIE() []byte {
	s, st := e.sim, &e.sim.st
	p := &mindiePage{page{b: make([]byte, 0, 16<<10), number: appendCPP}}
	l := givenLabels(pair{"model_name", e.modelLabel})
	failures := st.ends[aborted] + st.ends[failed]
	p.counter("request_received_total", "Requests received.", l, st.received)
	p.counter("request_success_total", "Requests answered.", l, st.successes())
	p.counter("request_failed_total", "Requests failed.", l, failures)
	p.counter("prompt_tokens_total", "Prompt tokens processed.", l, st.startedPrompts)
	p.counter("generation_tokens_total", "Tokens generated for answered requests.", l, st.streamed.generated)
	p.counter("num_preemptions_total", "Requests preempted.", l, st.preemptions)
	w := st.window
	if len(s.running) == 0 {
		w.promptRate, w.generatedRate = 0, 0
	}
	for _, g := range [...]struct {
		name, help string
		v          float64
	}{
		{"all_radix_match_num", "Prompt tokens looked up in the prefix cache.", float64(st.queried)},
		{"npu_radix_match_hit_num", "Prompt tokens found in the prefix cache.", float64(st.hits)},
		{"num_requests_running", "Requests running.", float64(len(s.running))},
		{"num_requests_waiting", "Requests waiting.", float64(len(s.waiting))},
		{"num_requests_swapped", "Requests swapped to host memory.", float64(len(s.swapped))},
		{"avg_prompt_throughput_toks_per_s", "Prompt tokens a second.", w.promptRate},
		{"avg_generation_throughput_toks_per_s", "Tokens generated a second.", w.generatedRate},
		{"failed_request_perc", "Share of requests that failed.", share(failures, st.received)},
		{"npu_cache_usage_perc", "Share of the device's KV cache in use.", s.usage()},
		{"cpu_cache_usage_perc", "Share of the host's KV cache in use.", float64(s.hostUsed) / float64(s.p.hostBlocks)},
		{"npu_prefix_cache_hit_rate", "Share of prompt tokens found in the prefix cache.", share(st.hits, st.queried)},
	} {
		p.gauge(g.name, g.help, l, g.v)
	}
	p.histogram("time_to_first_token_seconds", "Seconds from arrival to the first token.", l, st.firstToken)
	p.histogram("time_per_output_token_seconds", "Seconds between tokens.", l, st.interToken)
	p.histogram("e2e_request_latency_seconds", "Seconds from arrival to the last token.", l, st.endToEnd)
	p.histogram("request_prompt_tokens", "Prompt tokens of a request.", l, st.promptTokens)
	p.histogram("request_generation_tokens", "Tokens generated for a request.", l, st.generationTokens)
	return p.b
}

// share returns part of whole with four decimals; 0 of nothing is 0.
func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return math.Round(float64(part)/float64(whole)*1e4) / 1e4
}
