package simengine

import "strconv"

// vllmPage writes what vLLM's Python server does: labels sorted by name, and behind each family its _created gauges.
type vllmPage struct {
	page
	created float64 // when the first series was made, in Unix seconds
	made    int
	ranks   []vllmRank
}

// value is a sample of a family.
type value struct {
	l labels
	v float64
}

// vllmRank is a data-parallel rank with its labels.
type vllmRank struct {
	*sim
	with func(...pair) labels
	l    labels
}

func (e *Engine) vllmRanks() []vllmRank {
	ranks := make([]vllmRank, len(e.ranks))
	for i, s := range e.ranks {
		with := func(pairs ...pair) labels {
			return sortedLabels(append(pairs, pair{"engine", strconv.Itoa(i)}, pair{"model_name", e.modelLabel})...)
		}
		ranks[i] = vllmRank{s, with, with()}
	}
	return ranks
}

// counter writes a counter; name comes without _total.
func (p *vllmPage) counter(name, help string, samples ...value) {
	p.family(name+"_total", "counter", help)
	for _, s := range samples {
		p.sample(name, "_total", s.l, s.v)
	}
	p.birth(name, help, samples...)
}

// gauges writes a gauge of every rank.
func (p *vllmPage) gauges(name, help string, of func(vllmRank) float64) {
	p.family(name, "gauge", help)
	for _, r := range p.ranks {
		p.sample(name, "", r.l, of(r))
	}
}

// counters writes a counter of every rank.
func (p *vllmPage) counters(name, help string, of func(*stats) float64) {
	p.counterSets(name, help, func(r vllmRank) []value { return []value{{r.l, of(&r.st)}} })
}

// counterSets writes a counter with several series of every rank.
func (p *vllmPage) counterSets(name, help string, of func(vllmRank) []value) {
	var all []value
	for _, r := range p.ranks {
		all = append(all, of(r)...)
	}
	p.counter(name, help, all...)
}

// histograms writes a histogram of every rank.
func (p *vllmPage) histograms(name, help string, of func(*stats) *histogram) {
	p.family(name, "histogram", help)
	var all []value
	for _, r := range p.ranks {
		p.series(name, r.l, of(&r.st))
		all = append(all, value{l: r.l})
	}
	p.birth(name, help, all...)
}

func (p *vllmPage) histogram(name, help string, l labels, h *histogram) {
	p.family(name, "histogram", help)
	p.series(name, l, h)
	p.birth(name, help, value{l: l})
}

func (p *vllmPage) series(name string, l labels, h *histogram) {
	p.buckets(name, l, h)
	p.sample(name, "_count", l, float64(h.count))
	p.sample(name, "_sum", l, h.sum)
}

func (p *vllmPage) birth(name, help string, samples ...value) {
	p.family(name+"_created", "gauge", help)
	for _, s := range samples {
		p.made++
		p.sample(name, "_created", s.l, p.created+float64(p.made)*1.7e-5)
	}
}

func (e *Engine) renderVLLM() []byte {
	old := e.sim.p.old
	p := &vllmPage{page: page{b: make([]byte, 0, 64<<10), number: appendPython}, created: e.born(), ranks: e.vllmRanks()}
	e.renderPython(p)
	if drafted := len(e.sim.p.accept); drafted > 0 {
		p.counters("vllm:spec_decode_num_drafts", "Drafts made by speculative decoding.", func(st *stats) float64 { return float64(st.drafts) })
		p.counters("vllm:spec_decode_num_draft_tokens", "Tokens drafted.", func(st *stats) float64 { return float64(st.drafts) * float64(drafted) })
		p.counters("vllm:spec_decode_num_accepted_tokens", "Drafted tokens that were accepted.", func(st *stats) float64 { return float64(st.acceptedTokens()) })
		p.counterSets("vllm:spec_decode_num_accepted_tokens_per_pos", "Drafted tokens that were accepted, by place in the draft.", func(r vllmRank) []value {
			var positions []value
			for i := range drafted {
				positions = append(positions, value{r.with(pair{"position", strconv.Itoa(i)}), float64(r.st.accepted[i])})
			}
			return positions
		})
	}
	p.gauges("vllm:num_requests_running", "Requests in the execution batch.", func(r vllmRank) float64 { return float64(len(r.running)) })
	p.gauges("vllm:num_requests_waiting", "Requests waiting to be scheduled.", func(r vllmRank) float64 { return float64(r.queued()) })
	queried, hits := func(st *stats) float64 { return float64(st.queried) }, func(st *stats) float64 { return float64(st.hits) }
	usage := func(r vllmRank) float64 { return r.usage() }
	if old {
		p.gauges("vllm:gpu_cache_usage_perc", "Share of the KV cache in use. DEPRECATED.", usage)
		p.counters("vllm:gpu_prefix_cache_queries", "Tokens looked up in the prefix cache. DEPRECATED.", queried)
		p.counters("vllm:gpu_prefix_cache_hits", "Tokens found in the prefix cache. DEPRECATED.", hits)
	} else {
		e.renderStates(p)
	}
	p.gauges("vllm:kv_cache_usage_perc", "Share of the KV cache in use.", usage)
	p.counters("vllm:prefix_cache_queries", "Tokens looked up in the prefix cache.", queried)
	p.counters("vllm:prefix_cache_hits", "Tokens found in the prefix cache.", hits)
	if !old {
		none := func(*stats) float64 { return 0 }
		external := func(of func(*half) uint64) func(vllmRank) []value {
			return func(r vllmRank) []value {
				if r.pd == nil {
					return []value{{l: r.l}}
				}
				return []value{{r.l, float64(of(r.pd))}}
			}
		}
		p.counterSets("vllm:external_prefix_cache_queries", "Tokens asked for at the KV connector.", external(func(h *half) uint64 { return h.externalQueried }))
		p.counterSets("vllm:external_prefix_cache_hits", "Tokens that the KV connector had.", external(func(h *half) uint64 { return h.externalHits }))
		p.counters("vllm:mm_cache_queries", "Lookups in a cache that this engine doesn't use.", none)
		p.counters("vllm:mm_cache_hits", "Hits in a cache that this engine doesn't use.", none)
	}
	p.counters("vllm:num_preemptions", "Requests preempted.", func(st *stats) float64 { return float64(st.preemptions) })
	p.counters("vllm:prompt_tokens", "Prompt tokens of requests that got past their prefill.", func(st *stats) float64 { return float64(st.startedPrompts) })
	if !old {
		p.counterSets("vllm:prompt_tokens_by_source", "Prompt tokens by where their KV came from.", func(r vllmRank) []value {
			return []value{
				{r.with(pair{"source", "local_compute"}), float64(r.st.startedPrompts - r.st.startedCached - r.st.startedReceived)},
				{r.with(pair{"source", "local_cache_hit"}), float64(r.st.startedCached)},
				{r.with(pair{"source", "external_kv_transfer"}), float64(r.st.startedReceived)},
			}
		})
		p.counters("vllm:prompt_tokens_cached", "Prompt tokens found in a cache.", func(st *stats) float64 { return float64(st.startedCached + st.startedReceived) })
	}
	p.counters("vllm:generation_tokens", "Tokens generated.", func(st *stats) float64 { return float64(st.generated) })
	p.counterSets("vllm:request_success", "Requests that ended, by the reason.", vllmEnds)
	e.renderDistributions(p)
	e.renderNIXL(p)
	p.family("vllm:cache_config_info", "gauge", "Settings of the KV cache.")
	for i := range e.ranks {
		p.sample("vllm:cache_config_info", "", e.cacheConfig(i), 1)
	}
	e.renderHTTP(p)
	return p.b
}

// renderStates writes what the newer version tells about its queue and itself.
func (e *Engine) renderStates(p *vllmPage) {
	const waiting, sleep = "vllm:num_requests_waiting_by_reason", "vllm:engine_sleep_state"
	p.family(waiting, "gauge", "Requests waiting to be scheduled, by what they wait for.")
	for _, r := range p.ranks {
		deferred := 0
		if r.pd != nil {
			deferred = r.pd.transfer
		}
		p.sample(waiting, "", r.with(pair{"reason", "capacity"}), float64(r.queued()-deferred))
		p.sample(waiting, "", r.with(pair{"reason", "deferred"}), float64(deferred))
	}
	p.family(sleep, "gauge", "Whether the engine is awake, and how deep it sleeps if not.")
	for _, r := range p.ranks {
		for state, v := range [...]float64{1, 0, 0} {
			name := [...]string{"awake", "weights_offloaded", "discard_all"}[state]
			p.sample(sleep, "", r.with(pair{"sleep_state", name}), v)
		}
	}
}

// renderDistributions writes the histograms.
func (e *Engine) renderDistributions(p *vllmPage) {
	old := e.sim.p.old
	p.histograms("vllm:request_prompt_tokens", "Prompt tokens of a request.", func(st *stats) *histogram { return st.promptTokens })
	p.histograms("vllm:request_generation_tokens", "Tokens generated for a request.", func(st *stats) *histogram { return st.generationTokens })
	p.histograms("vllm:iteration_tokens_total", "Tokens of an engine step.", func(st *stats) *histogram { return st.iteration })
	p.histograms("vllm:request_max_num_generation_tokens", "Longest answer of a request.", func(st *stats) *histogram { return st.maxGeneration })
	p.histograms("vllm:request_params_n", "Parameter n of a request.", func(st *stats) *histogram { return st.params })
	p.histograms("vllm:request_params_max_tokens", "Parameter max_tokens of a request.", func(st *stats) *histogram { return st.maxTokens })
	p.histograms("vllm:time_to_first_token_seconds", "Seconds from arrival to the first token.", func(st *stats) *histogram { return st.firstToken })
	between := func(st *stats) *histogram { return st.interToken }
	if old {
		p.histograms("vllm:time_per_output_token_seconds", "Seconds between tokens.", between)
	} else {
		p.histograms("vllm:inter_token_latency_seconds", "Seconds between tokens.", between)
		p.histograms("vllm:request_time_per_output_token_seconds", "Mean seconds per token of a request.", func(st *stats) *histogram { return st.perToken })
	}
	p.histograms("vllm:e2e_request_latency_seconds", "Seconds from arrival to the last token.", func(st *stats) *histogram { return st.endToEnd })
	p.histograms("vllm:request_queue_time_seconds", "Seconds that a request waited.", func(st *stats) *histogram { return st.queue })
	p.histograms("vllm:request_inference_time_seconds", "Seconds that a request ran.", func(st *stats) *histogram { return st.inference })
	p.histograms("vllm:request_prefill_time_seconds", "Seconds from scheduling to the first token.", func(st *stats) *histogram { return st.prefill })
	p.histograms("vllm:request_decode_time_seconds", "Seconds from the first to the last token.", func(st *stats) *histogram { return st.decode })
	if !old {
		p.histograms("vllm:request_prefill_kv_computed_tokens", "Prompt tokens of a request that had to be computed.", func(st *stats) *histogram { return st.uncached })
	}
}

// renderNIXL writes the families of the NIXL connector, which engines of both roles have: NixlPromMetrics in vLLM's nixl/stats.py.
func (e *Engine) renderNIXL(p *vllmPage) {
	if e.group == nil {
		return
	}
	for _, f := range [...]struct {
		name, help string
		of         func(*half) *histogram
	}{
		{"vllm:nixl_xfer_time_seconds", "Seconds that a NIXL transfer took.", func(h *half) *histogram { return h.wire }},
		{"vllm:nixl_post_time_seconds", "Seconds to submit a NIXL transfer.", func(h *half) *histogram { return h.post }},
		{"vllm:nixl_bytes_transferred", "Bytes of a NIXL transfer.", func(h *half) *histogram { return h.size }},
		{"vllm:nixl_num_descriptors", "Descriptors of a NIXL transfer.", func(h *half) *histogram { return h.descriptors }},
	} {
		p.family(f.name, "histogram", f.help)
		var all []value
		for _, r := range p.ranks {
			p.series(f.name, r.l, f.of(r.pd))
			all = append(all, value{l: r.l})
		}
		p.birth(f.name, f.help, all...)
	}
	count := func(name, help string, of func(*half) uint64) {
		p.counterSets(name, help, func(r vllmRank) []value { return []value{{r.l, float64(of(r.pd))}} })
	}
	none := func(*half) uint64 { return 0 }
	count("vllm:nixl_num_failed_transfers", "NIXL transfers that failed.", func(h *half) uint64 { return h.failed })
	count("vllm:nixl_num_failed_notifications", "NIXL notifications that failed.", none)
	count("vllm:nixl_num_kv_expired_reqs", "Requests whose KV nobody has read in time.", none)
}

// vllmEnds returns how many of a rank's requests ended for each reason that the version tells apart.
func vllmEnds(r vllmRank) []value {
	n := r.st.ends
	names := []string{"stop", "length", "abort", "error", "repetition"} // in the order of type reason
	if r.p.old {
		names = names[:3]
		n[ended] += n[repeated]
		n[aborted] += n[failed]
	}
	var ends []value
	for why, name := range names {
		ends = append(ends, value{r.with(pair{"finished_reason", name}), float64(n[why])})
	}
	return ends
}

func (e *Engine) cacheConfig(rank int) labels {
	return sortedLabels(
		pair{"block_size", strconv.Itoa(e.sim.p.blockSize)},
		pair{"cache_dtype", "auto"},
		pair{"enable_prefix_caching", "True"},
		pair{"engine", strconv.Itoa(rank)},
		pair{"gpu_memory_utilization", "0.9"},
		pair{"num_cpu_blocks", "None"},
		pair{"num_gpu_blocks", strconv.Itoa(e.sim.p.blocks)},
		pair{"num_gpu_blocks_override", "None"},
		pair{"sliding_window", "None"})
}

// renderPython writes the families of the Python interpreter and its process.
func (e *Engine) renderPython(p *vllmPage) {
	st := &e.sim.st
	collections := [...]float64{float64(180 + st.steps/700), float64(16 + st.steps/7700), float64(2 + st.steps/80000)}
	for _, f := range [...]struct {
		name, help string
		per        float64
	}{
		{"python_gc_objects_collected_total", "Objects that the collector freed.", 9},
		{"python_gc_objects_uncollectable_total", "Objects that the collector could not free.", 0},
		{"python_gc_collections_total", "Runs of the collector.", 1},
	} {
		p.family(f.name, "counter", f.help)
		for generation, n := range collections {
			p.sample(f.name, "", sortedLabels(pair{"generation", strconv.Itoa(generation)}), n*f.per)
		}
	}
	p.gauge("python_info", "The Python that runs this.", sortedLabels(pair{"implementation", "CPython"}, pair{"major", "3"},
		pair{"minor", "12"}, pair{"patchlevel", "11"}, pair{"version", "3.12.11"}), 1)
	p.gauge("process_virtual_memory_bytes", "Virtual memory.", labels{}, 29_940_645_888)
	p.gauge("process_resident_memory_bytes", "Resident memory.", labels{}, float64(1_456_209_920+4096*(st.received%4000)))
	p.gauge("process_start_time_seconds", "Start of the process, in Unix seconds.", labels{}, float64(int64(e.born()*100))/100)
	p.family("process_cpu_seconds_total", "counter", "CPU time used.")
	p.sample("process_cpu_seconds_total", "", labels{}, float64(int64((23+.31*st.busy)*100))/100)
	p.gauge("process_open_fds", "Open file descriptors.", labels{}, float64(38+len(e.sim.running)+len(e.sim.waiting)))
	p.gauge("process_max_fds", "Most file descriptors that may be open.", labels{}, 1<<20)
}

// renderHTTP writes the families of the web framework's instrumentation.
func (e *Engine) renderHTTP(p *vllmPage) {
	handler := pair{"handler", "/v1/chat/completions"}
	post := pair{"method", "POST"}
	var total, bad uint64
	var requestBytes, responseBytes float64
	precise, coarse := newHistogram(e.sim.p.buckets.httpPrecise), newHistogram(e.sim.p.buckets.httpCoarse)
	for _, s := range e.ranks { // they share the front end
		for _, n := range s.st.ends {
			total += n
		}
		bad += s.st.ends[failed]
		requestBytes += s.st.requestBytes
		responseBytes += s.st.responseBytes
		precise, coarse = precise.plus(s.st.httpPrecise), coarse.plus(s.st.httpCoarse)
	}
	p.counter("http_requests", "Requests by method, status and handler.",
		value{sortedLabels(handler, post, pair{"status", "2xx"}), float64(total - bad)},
		value{sortedLabels(handler, post, pair{"status", "5xx"}), float64(bad)})
	for _, f := range [...]struct {
		name string
		sum  float64
	}{{"http_request_size_bytes", requestBytes}, {"http_response_size_bytes", responseBytes}} {
		l := sortedLabels(handler)
		p.family(f.name, "summary", "Length of bodies by handler, as their header says.")
		p.sample(f.name, "_count", l, float64(total))
		p.sample(f.name, "_sum", l, f.sum)
		p.birth(f.name, "Length of bodies by handler, as their header says.", value{l: l})
	}
	p.histogram("http_request_duration_highr_seconds", "Latency over all handlers, with many buckets.", labels{}, precise)
	p.histogram("http_request_duration_seconds", "Latency by handler, with few buckets.", sortedLabels(handler, post), coarse)
}
