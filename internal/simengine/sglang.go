package simengine

import "math"

// sglangPage writes what SGLang's multiprocess registry does: _sum before the buckets, no _created, and no families without
// samples.
type sglangPage struct{ page }

func (p *sglangPage) counter(name, help string, samples ...value) {
	p.family(name, "counter", help)
	for _, s := range samples {
		p.sample(name, "", s.l, s.v)
	}
}

// histogram writes h for each label set in turn.
func (p *sglangPage) histogram(name, help string, series ...labelled) {
	seen := false
	for _, s := range series {
		if s.h.count == 0 {
			continue
		}
		if !seen {
			p.family(name, "histogram", help)
			seen = true
		}
		p.sample(name, "_sum", s.l, s.h.sum)
		p.buckets(name, s.l, s.h)
		p.sample(name, "_count", s.l, float64(s.h.count))
	}
}

type labelled struct {
	l labels
	h *histogram
}

// schedulerPID is in the pid label of gauges for which SGLang chose no way to merge its processes.
const schedulerPID = "412"

func (e *Engine) renderSGLang() []byte {
	p := &sglangPage{page{b: make([]byte, 0, 64<<10), number: appendPython}}
	e.sglangRequests(p)
	e.sglangScheduler(p)
	e.sglangTokens(p)
	return p.b
}

// sglangRequests writes what the tokenizer process counts: mostly when a request ends.
func (e *Engine) sglangRequests(p *sglangPage) {
	st := &e.sim.st
	with := func(pairs ...pair) labels {
		return sortedLabels(append(pairs, pair{"model_name", e.modelLabel})...)
	}
	l, whole, streamed := with(), with(pair{"is_streaming", "false"}), with(pair{"is_streaming", "true"})
	p.counter("sglang:prompt_tokens_total", "Prompt tokens of finished requests.",
		value{whole, float64(st.whole.prompt)}, value{streamed, float64(st.streamed.prompt)})
	p.counter("sglang:generation_tokens_total", "Tokens generated for finished requests.",
		value{whole, float64(st.whole.generated)}, value{streamed, float64(st.streamed.generated)})
	p.counter("sglang:spec_verify_calls_total", "Drafts verified.", value{l, float64(st.drafts)})
	p.histogram("sglang:prompt_tokens_histogram", "Prompt tokens of a request.", labelled{l, st.promptTokens})
	p.histogram("sglang:uncached_prompt_tokens_histogram", "Prompt tokens of a request that were computed.", labelled{l, st.uncached})
	p.histogram("sglang:generation_tokens_histogram", "Tokens generated for a request.", labelled{l, st.generationTokens})
	p.counter("sglang:cached_tokens_total", "Cached prompt tokens of finished requests by where they were.",
		value{with(pair{"cache_source", "device"}), float64(st.whole.cached + st.streamed.cached)},
		value{with(pair{"cache_source", "host"}), float64(st.whole.cachedHost + st.streamed.cachedHost)})
	p.counter("sglang:num_requests_total", "Requests finished.",
		value{whole, float64(st.whole.requests)}, value{streamed, float64(st.streamed.requests)})
	if n := st.ends[aborted] + st.ends[failed]; n > 0 {
		p.counter("sglang:num_aborted_requests_total", "Requests aborted.", value{l, float64(n)})
	}
	p.histogram("sglang:time_to_first_token_seconds", "Seconds from arrival to the first token.",
		labelled{whole, st.firstTokenWhole}, labelled{streamed, st.firstToken})
	p.histogram("sglang:inter_token_latency_seconds", "Seconds between tokens.", labelled{l, st.interToken})
	p.histogram("sglang:e2e_request_latency_seconds", "Seconds from arrival to the last token.",
		labelled{whole, st.endToEndWhole}, labelled{streamed, st.endToEnd})
}

func (e *Engine) schedulerLabels(pairs ...pair) labels {
	return sortedLabels(append(pairs, pair{"engine_type", "unified"}, pair{"model_name", e.modelLabel}, pair{"moe_ep_rank", "0"},
		pair{"pp_rank", "0"}, pair{"tp_rank", "0"})...)
}

// sglangScheduler writes the scheduler's gauges and latencies.
func (e *Engine) sglangScheduler(p *sglangPage) {
	s, st := e.sim, &e.sim.st
	l := e.schedulerLabels()
	held, pool := s.heldTokens(), s.p.blocks*s.p.blockSize
	used := s.blocksUsed * s.p.blockSize
	evictable := min(pool-used, int(min(s.cache.written, int64(pool))))
	w := st.window
	if len(s.running) == 0 {
		w.generatedRate = 0
	}
	for _, g := range [...]struct {
		name, help string
		v          float64
	}{
		{"num_running_reqs", "Requests running.", float64(len(s.running))},
		{"num_queue_reqs", "Requests queued.", float64(len(s.waiting))},
		{"num_grammar_queue_reqs", "Requests queued for their grammar.", 0},
		{"gen_throughput", "Tokens generated a second.", w.generatedRate},
		{"cache_hit_rate", "Share of the latest prefill batch that was cached.", st.hitShare},
		{"decode_sum_seq_lens", "Tokens of all running sequences.", float64(held)},
		{"token_usage", "Share of the token pool in use.", s.usage()},
		{"full_token_usage", "Share of the full attention pool in use.", s.usage()},
		{"swa_token_usage", "Share of the sliding window pool in use.", 0},
		{"mamba_usage", "Share of the state space pool in use.", 0},
		{"num_used_tokens", "Tokens in use.", float64(used)},
		{"kv_available_tokens", "Token slots free.", float64(pool - used - evictable)},
		{"kv_evictable_tokens", "Token slots that only the cache holds.", float64(evictable)},
		{"kv_used_tokens", "Token slots that requests hold.", float64(used)},
		{"spec_accept_length", "Tokens emitted for each verified draft.", w.acceptLength},
		{"spec_accept_rate", "Share of drafted tokens accepted.", w.acceptRate},
		{"spec_num_steps", "Draft steps in use.", float64(len(s.p.accept))},
		{"spec_num_draft_tokens", "Draft tokens in use.", float64(len(s.p.accept) + 1)},
		{"num_prefill_bootstrap_queue_reqs", "Requests in the prefill bootstrap queue.", 0},
		{"num_prefill_inflight_queue_reqs", "Requests in the prefill transfer queue.", 0},
		{"num_decode_prealloc_queue_reqs", "Requests in the decode allocation queue.", 0},
		{"num_decode_transfer_queue_reqs", "Requests in the decode transfer queue.", 0},
		{"pending_prealloc_token_usage", "Share of tokens promised but not allocated.", 0},
		{"utilization", "Utilization.", 0},
		{"fwd_occupancy", "Share of time that forward passes take, if measured.", math.NaN()},
		{"new_token_ratio", "Share of max_tokens that the scheduler reserves.", .7},
		{"is_cuda_graph", "Whether the batch runs in a CUDA graph.", 1},
		{"num_unique_running_routing_keys", "Routing keys in the batch.", 0},
	} {
		p.gauge("sglang:"+g.name, g.help, l, g.v)
	}
	perProcess := e.schedulerLabels(pair{"pid", schedulerPID})
	p.gauge("sglang:num_retracted_reqs", "Requests retracted and not yet back.", perProcess, float64(s.retracted()))
	p.gauge("sglang:num_paused_reqs", "Requests paused.", perProcess, 0)
	const keys = "sglang:routing_key_running_req_count"
	p.family(keys, "gauge", "Routing keys by their running requests (gt < n <= le).")
	edges := [...]string{"0", "1", "2", "3", "5", "7", "10", "20", "50", "100", "200", "+Inf"}
	for i := range len(edges) - 1 {
		p.sample(keys, "", e.schedulerLabels(pair{"gt", edges[i]}, pair{"le", edges[i+1]}), 0)
	}
	p.histogram("sglang:queue_time_seconds", "Seconds queued.", labelled{l, st.queue})
	p.histogram("sglang:per_stage_req_latency_seconds", "Seconds that requests spend in a stage.",
		labelled{e.schedulerLabels(pair{"stage", "request_process"}), st.stageProcess},
		labelled{e.schedulerLabels(pair{"stage", "prefill_forward"}), st.stagePrefill})
}

// sglangTokens writes the scheduler's counters, which advance while requests run.
func (e *Engine) sglangTokens(p *sglangPage) {
	st := &e.sim.st
	l := e.schedulerLabels()
	mode := func(name string, n uint64) value { return value{e.schedulerLabels(pair{"mode", name}), float64(n)} }
	p.counter("sglang:num_retracted_requests_total", "Requests retracted.", value{l, float64(st.preemptions)})
	p.counter("sglang:num_retracted_input_tokens_total", "Prompt tokens of retracted requests.", value{l, float64(st.retractedIn)})
	p.counter("sglang:num_retracted_output_tokens_total", "Generated tokens of retracted requests.", value{l, float64(st.retractedOut)})
	p.counter("sglang:realtime_tokens_total", "Tokens processed as they come.",
		mode("prefill_compute", st.prefillComputed), mode("prefill_cache", st.prefillCached), mode("decode", st.generated))
	p.counter("sglang:prefill_effective_tokens_total", "Prompt tokens by how they were had, each request once.",
		mode("input", st.queried-st.hits-st.hostHits), mode("device_hit", st.hits), mode("host_hit", st.hostHits), mode("storage_hit", 0))
}

// retracted returns how many waiting requests ran before.
func (s *sim) retracted() (n int) {
	for _, r := range s.waiting {
		if r.retracted {
			n++
		}
	}
	return n
}
