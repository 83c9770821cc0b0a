package simengine

import (
	"math"
	"strconv"
)

// sglangPage writes what SGLang's multiprocess registry does: _sum before the buckets, no _created, and no families without
// samples.
type sglangPage struct {
	page
	ranks []sglangRank
}

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
		if s.h == nil || s.h.count == 0 {
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

// schedulerPID is in the pid label of gauges for which SGLang chose no way to merge its processes. Each scheduler has the next one.
const schedulerPID = 412

// sglangRank is a scheduler process with its labels. Those of one data-parallel rank have the same sim and write the same values.
type sglangRank struct {
	*sim
	with func(...pair) labels
	l    labels
	pid  string
}

// sglangRanks returns the schedulers that write to the page. With data parallelism inside of tensor parallelism (--enable-dp-attention) tp_rank
// counts on over the data-parallel ranks: SchedulerMetricsCollector.init_new in metrics_collector.py.
func (e *Engine) sglangRanks() []sglangRank {
	engineType := e.role
	if engineType == "" {
		engineType = "unified"
	}
	var ranks []sglangRank
	for dp, s := range e.ranks {
		for range max(1, e.schedulers) {
			tp := len(ranks)
			own := []pair{{"engine_type", engineType}, {"model_name", e.modelLabel}, {"moe_ep_rank", "0"}, {"pp_rank", "0"}, {"tp_rank", strconv.Itoa(tp)}}
			if len(e.ranks) > 1 {
				own = append(own, pair{"dp_rank", strconv.Itoa(dp)})
			}
			with := func(pairs ...pair) labels { return sortedLabels(append(pairs, own...)...) }
			ranks = append(ranks, sglangRank{s, with, with(), strconv.Itoa(schedulerPID + tp)})
		}
	}
	return ranks
}

// gauges writes a gauge of every scheduler.
func (p *sglangPage) gauges(name, help string, of func(sglangRank) float64) {
	p.family(name, "gauge", help)
	for _, r := range p.ranks {
		p.sample(name, "", r.l, of(r))
	}
}

// perProcess writes a gauge of every scheduler with the label pid.
func (p *sglangPage) perProcess(name, help string, of func(sglangRank) float64) {
	p.family(name, "gauge", help)
	for _, r := range p.ranks {
		p.sample(name, "", r.with(pair{"pid", r.pid}), of(r))
	}
}

// counters writes a counter of every scheduler.
func (p *sglangPage) counters(name, help string, of func(sglangRank) []value) {
	p.family(name, "counter", help)
	for _, r := range p.ranks {
		for _, s := range of(r) {
			p.sample(name, "", s.l, s.v)
		}
	}
}

// histograms writes a histogram of every scheduler.
func (p *sglangPage) histograms(name, help string, of func(sglangRank) []labelled) {
	var all []labelled
	for _, r := range p.ranks {
		all = append(all, of(r)...)
	}
	p.histogram(name, help, all...)
}

func (e *Engine) renderSGLang() []byte {
	p := &sglangPage{page: page{b: make([]byte, 0, 64<<10), number: appendPython}, ranks: e.sglangRanks()}
	e.sglangRequests(p)
	p.scheduler()
	p.transfers()
	p.tokens()
	return p.b
}

// frontEnd returns what the tokenizer process has counted, which serves all data-parallel ranks.
func (e *Engine) frontEnd() *stats {
	first := &e.sim.st
	if len(e.ranks) == 1 {
		return first
	}
	all := *first
	for _, s := range e.ranks[1:] {
		st := &s.st
		all.whole, all.streamed = all.whole.plus(st.whole), all.streamed.plus(st.streamed)
		all.drafts += st.drafts
		for why, n := range st.ends {
			all.ends[why] += n
		}
		for _, h := range [...]struct {
			sum **histogram
			h   *histogram
		}{
			{&all.promptTokens, st.promptTokens},
			{&all.uncached, st.uncached},
			{&all.generationTokens, st.generationTokens},
			{&all.firstToken, st.firstToken},
			{&all.firstTokenWhole, st.firstTokenWhole},
			{&all.interToken, st.interToken},
			{&all.endToEnd, st.endToEnd},
			{&all.endToEndWhole, st.endToEndWhole},
		} {
			*h.sum = (*h.sum).plus(h.h)
		}
	}
	return &all
}

// sglangRequests writes what the tokenizer process counts: mostly when a request ends.
func (e *Engine) sglangRequests(p *sglangPage) {
	st := e.frontEnd()
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

// scheduler writes the schedulers' gauges and latencies.
func (p *sglangPage) scheduler() {
	held := func(s *sim) int { return s.blocksUsed * s.p.blockSize }
	evictable := func(s *sim) int {
		pool := s.p.blocks * s.p.blockSize
		return min(pool-held(s), int(min(s.cache.written, int64(pool))))
	}
	usage := func(r sglangRank) float64 { return r.usage() }
	none := func(sglangRank) float64 { return 0 }
	queue := func(of func(*half) int) func(sglangRank) float64 {
		return func(r sglangRank) float64 {
			if r.pd == nil {
				return 0
			}
			return float64(of(r.pd))
		}
	}
	for _, g := range [...]struct {
		name, help string
		of         func(sglangRank) float64
	}{
		{"num_running_reqs", "Requests running.", func(r sglangRank) float64 { return float64(len(r.running)) }},
		{"num_queue_reqs", "Requests queued.", func(r sglangRank) float64 { return float64(r.queued()) }},
		{"num_grammar_queue_reqs", "Requests queued for their grammar.", none},
		{"gen_throughput", "Tokens generated a second.", func(r sglangRank) float64 {
			if len(r.running) == 0 {
				return 0
			}
			return r.st.window.generatedRate
		}},
		{"cache_hit_rate", "Share of the latest prefill batch that was cached.", func(r sglangRank) float64 { return r.st.hitShare }},
		{"decode_sum_seq_lens", "Tokens of all running sequences.", func(r sglangRank) float64 { return float64(r.heldTokens()) }},
		{"token_usage", "Share of the token pool in use.", usage},
		{"full_token_usage", "Share of the full attention pool in use.", usage},
		{"swa_token_usage", "Share of the sliding window pool in use.", none},
		{"mamba_usage", "Share of the state space pool in use.", none},
		{"num_used_tokens", "Tokens in use.", func(r sglangRank) float64 { return float64(held(r.sim)) }},
		{"kv_available_tokens", "Token slots free.", func(r sglangRank) float64 { return float64(r.p.blocks*r.p.blockSize - held(r.sim) - evictable(r.sim)) }},
		{"kv_evictable_tokens", "Token slots that only the cache holds.", func(r sglangRank) float64 { return float64(evictable(r.sim)) }},
		{"kv_used_tokens", "Token slots that requests hold.", func(r sglangRank) float64 { return float64(held(r.sim)) }},
		{"spec_accept_length", "Tokens emitted for each verified draft.", func(r sglangRank) float64 { return r.st.window.acceptLength }},
		{"spec_accept_rate", "Share of drafted tokens accepted.", func(r sglangRank) float64 { return r.st.window.acceptRate }},
		{"spec_num_steps", "Draft steps in use.", func(r sglangRank) float64 { return float64(len(r.p.accept)) }},
		{"spec_num_draft_tokens", "Draft tokens in use.", func(r sglangRank) float64 {
			if len(r.p.accept) == 0 {
				return 0
			}
			return float64(len(r.p.accept) + 1)
		}},
		{"num_prefill_bootstrap_queue_reqs", "Requests in the prefill bootstrap queue.", queue(func(h *half) int { return h.bootstrap })},
		{"num_prefill_inflight_queue_reqs", "Requests in the prefill transfer queue.", queue(func(h *half) int { return h.inflight })},
		{"num_decode_prealloc_queue_reqs", "Requests in the decode allocation queue.", queue(func(h *half) int { return len(h.prealloc) })},
		{"num_decode_transfer_queue_reqs", "Requests in the decode transfer queue.", queue(func(h *half) int { return h.transfer })},
		{"pending_prealloc_token_usage", "Share of tokens promised but not allocated.", func(r sglangRank) float64 { return r.promised() }},
		{"utilization", "Utilization.", none},
		{"fwd_occupancy", "Share of time that forward passes take, if measured.", func(sglangRank) float64 { return math.NaN() }},
		{"new_token_ratio", "Share of max_tokens that the scheduler reserves.", func(sglangRank) float64 { return .7 }},
		{"is_cuda_graph", "Whether the batch runs in a CUDA graph.", func(sglangRank) float64 { return 1 }},
		{"num_unique_running_routing_keys", "Routing keys in the batch.", none},
	} {
		p.gauges("sglang:"+g.name, g.help, g.of)
	}
	p.perProcess("sglang:num_retracted_reqs", "Requests retracted and not yet back.", func(r sglangRank) float64 { return float64(r.retracted()) })
	p.perProcess("sglang:num_paused_reqs", "Requests paused.", none)
	const keys = "sglang:routing_key_running_req_count"
	p.family(keys, "gauge", "Routing keys by their running requests (gt < n <= le).")
	edges := [...]string{"0", "1", "2", "3", "5", "7", "10", "20", "50", "100", "200", "+Inf"}
	for i := range len(edges) - 1 {
		for _, r := range p.ranks {
			p.sample(keys, "", r.with(pair{"gt", edges[i]}, pair{"le", edges[i+1]}), 0)
		}
	}
	p.histograms("sglang:queue_time_seconds", "Seconds queued.", func(r sglangRank) []labelled { return []labelled{{r.l, r.st.queue}} })
	p.histograms("sglang:per_stage_req_latency_seconds", "Seconds that requests spend in a stage.", func(r sglangRank) []labelled {
		stages := []labelled{
			{r.with(pair{"stage", "request_process"}), r.st.stageProcess},
			{r.with(pair{"stage", "prefill_forward"}), r.st.stagePrefill},
		}
		if r.pd != nil {
			for _, s := range r.pd.stages {
				stages = append(stages, labelled{r.with(pair{"stage", s.name}), s.h})
			}
		}
		return stages
	})
}

// promised returns the share of the pool that requests in the allocation queue will need.
func (s *sim) promised() float64 {
	if s.pd == nil {
		return 0
	}
	blocks := 0
	for _, r := range s.pd.prealloc {
		blocks += s.blocksFor(r.prompt + 1)
	}
	return float64(blocks) / float64(s.p.blocks)
}

// transfers writes what the schedulers of a prefill/decode group measure of transfers: metrics_collector.py of 0.5.18.
func (p *sglangPage) transfers() {
	if p.ranks[0].pd == nil {
		return
	}
	for _, f := range [...]struct {
		name, help string
		of         func(*half) *histogram
	}{
		{"kv_transfer_speed_gb_s", "Speed of KV transfers in GB/s.", func(h *half) *histogram { return h.rate }},
		{"kv_transfer_latency_ms", "Milliseconds of KV transfers.", func(h *half) *histogram { return h.latency }},
		{"kv_transfer_bootstrap_ms", "Milliseconds of handshakes.", func(h *half) *histogram { return h.handshake }},
		{"kv_transfer_alloc_ms", "Milliseconds of waiting for memory.", func(h *half) *histogram { return h.alloc }},
		{"kv_transfer_total_mb", "MiB of KV transfers.", func(h *half) *histogram { return h.total }},
	} {
		p.histograms("sglang:"+f.name, f.help, func(r sglangRank) []labelled { return []labelled{{r.l, f.of(r.pd)}} })
	}
	for _, r := range p.ranks {
		if r.pd.failed > 0 {
			p.counters("sglang:num_transfer_failed_reqs_total", "Requests whose KV transfer failed.", func(r sglangRank) []value {
				return []value{{r.l, float64(r.pd.failed)}}
			})
			break
		}
	}
}

// tokens writes the schedulers' counters, which advance while requests run.
func (p *sglangPage) tokens() {
	one := func(of func(*stats) uint64) func(sglangRank) []value {
		return func(r sglangRank) []value { return []value{{r.l, float64(of(&r.st))}} }
	}
	mode := func(r sglangRank, name string, n uint64) value { return value{r.with(pair{"mode", name}), float64(n)} }
	p.counters("sglang:num_retracted_requests_total", "Requests retracted.", one(func(st *stats) uint64 { return st.preemptions }))
	p.counters("sglang:num_retracted_input_tokens_total", "Prompt tokens of retracted requests.", one(func(st *stats) uint64 { return st.retractedIn }))
	p.counters("sglang:num_retracted_output_tokens_total", "Generated tokens of retracted requests.", one(func(st *stats) uint64 { return st.retractedOut }))
	p.counters("sglang:realtime_tokens_total", "Tokens processed as they come.", func(r sglangRank) []value {
		return []value{
			mode(r, "prefill_compute", r.st.prefillComputed), mode(r, "prefill_cache", r.st.prefillCached), mode(r, "decode", r.st.generated),
		}
	})
	p.counters("sglang:prefill_effective_tokens_total", "Prompt tokens by how they were had, each request once.", func(r sglangRank) []value {
		st := &r.st
		return []value{
			mode(r, "input", st.queried-st.hits-st.hostHits), mode(r, "device_hit", st.hits), mode(r, "host_hit", st.hostHits), mode(r, "storage_hit", 0),
		}
	})
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
