package simengine

import "strconv"

// vllmPage writes what vLLM's Python server does: labels sorted by name, and behind each family its _created gauges.
type vllmPage struct {
	page
	created float64 // when the first series was made, in Unix seconds
	made    int
}

// value is a sample of a family.
type value struct {
	l labels
	v float64
}

// counter writes a counter; name comes without _total.
func (p *vllmPage) counter(name, help string, samples ...value) {
	p.family(name+"_total", "counter", help)
	for _, s := range samples {
		p.sample(name, "_total", s.l, s.v)
	}
	p.birth(name, help, samples...)
}

func (p *vllmPage) histogram(name, help string, l labels, h *histogram) {
	p.family(name, "histogram", help)
	p.buckets(name, l, h)
	p.sample(name, "_count", l, float64(h.count))
	p.sample(name, "_sum", l, h.sum)
	p.birth(name, help, value{l: l})
}

func (p *vllmPage) birth(name, help string, samples ...value) {
	p.family(name+"_created", "gauge", help)
	for _, s := range samples {
		p.made++
		p.sample(name, "_created", s.l, p.created+float64(p.made)*1.7e-5)
	}
}

func (e *Engine) renderVLLM() []byte {
	s, st := e.sim, &e.sim.st
	old := s.p.old
	p := &vllmPage{page: page{b: make([]byte, 0, 64<<10), number: appendPython}, created: e.born()}
	with := func(pairs ...pair) labels {
		return sortedLabels(append(pairs, pair{"engine", "0"}, pair{"model_name", e.modelLabel})...)
	}
	l := with()
	e.renderPython(p)
	if len(s.p.accept) > 0 {
		p.counter("vllm:spec_decode_num_drafts", "Drafts made by speculative decoding.", value{l, float64(st.drafts)})
		p.counter("vllm:spec_decode_num_draft_tokens", "Tokens drafted.", value{l, float64(st.drafts) * float64(len(s.p.accept))})
		p.counter("vllm:spec_decode_num_accepted_tokens", "Drafted tokens that were accepted.", value{l, float64(st.acceptedTokens())})
		var positions []value
		for i := range s.p.accept {
			positions = append(positions, value{with(pair{"position", strconv.Itoa(i)}), float64(st.accepted[i])})
		}
		p.counter("vllm:spec_decode_num_accepted_tokens_per_pos", "Drafted tokens that were accepted, by place in the draft.", positions...)
	}
	p.gauge("vllm:num_requests_running", "Requests in the execution batch.", l, float64(len(s.running)))
	p.gauge("vllm:num_requests_waiting", "Requests waiting to be scheduled.", l, float64(len(s.waiting)))
	if old {
		p.gauge("vllm:gpu_cache_usage_perc", "Share of the KV cache in use. DEPRECATED.", l, s.usage())
		p.counter("vllm:gpu_prefix_cache_queries", "Tokens looked up in the prefix cache. DEPRECATED.", value{l, float64(st.queried)})
		p.counter("vllm:gpu_prefix_cache_hits", "Tokens found in the prefix cache. DEPRECATED.", value{l, float64(st.hits)})
	} else {
		p.family("vllm:num_requests_waiting_by_reason", "gauge", "Requests waiting to be scheduled, by what they wait for.")
		p.sample("vllm:num_requests_waiting_by_reason", "", with(pair{"reason", "capacity"}), float64(len(s.waiting)))
		p.sample("vllm:num_requests_waiting_by_reason", "", with(pair{"reason", "deferred"}), 0)
		p.family("vllm:engine_sleep_state", "gauge", "Whether the engine is awake, and how deep it sleeps if not.")
		for state, v := range [...]float64{1, 0, 0} {
			name := [...]string{"awake", "weights_offloaded", "discard_all"}[state]
			p.sample("vllm:engine_sleep_state", "", with(pair{"sleep_state", name}), v)
		}
	}
	p.gauge("vllm:kv_cache_usage_perc", "Share of the KV cache in use.", l, s.usage())
	p.counter("vllm:prefix_cache_queries", "Tokens looked up in the prefix cache.", value{l, float64(st.queried)})
	p.counter("vllm:prefix_cache_hits", "Tokens found in the prefix cache.", value{l, float64(st.hits)})
	if !old {
		for _, cache := range [...]string{"external_prefix_cache", "mm_cache"} {
			p.counter("vllm:"+cache+"_queries", "Lookups in a cache that this engine doesn't use.", value{l, 0})
			p.counter("vllm:"+cache+"_hits", "Hits in a cache that this engine doesn't use.", value{l, 0})
		}
	}
	p.counter("vllm:num_preemptions", "Requests preempted.", value{l, float64(st.preemptions)})
	p.counter("vllm:prompt_tokens", "Prompt tokens of requests that got past their prefill.", value{l, float64(st.startedPrompts)})
	if !old {
		p.counter("vllm:prompt_tokens_by_source", "Prompt tokens by where their KV came from.",
			value{with(pair{"source", "local_compute"}), float64(st.startedPrompts - st.startedCached)},
			value{with(pair{"source", "local_cache_hit"}), float64(st.startedCached)},
			value{with(pair{"source", "external_kv_transfer"}), 0})
		p.counter("vllm:prompt_tokens_cached", "Prompt tokens found in a cache.", value{l, float64(st.startedCached)})
	}
	p.counter("vllm:generation_tokens", "Tokens generated.", value{l, float64(st.generated)})
	p.counter("vllm:request_success", "Requests that ended, by the reason.", e.vllmEnds(with)...)
	p.histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.", l, st.promptTokens)
	p.histogram("vllm:request_generation_tokens", "Tokens generated for a request.", l, st.generationTokens)
	p.histogram("vllm:iteration_tokens_total", "Tokens of an engine step.", l, st.iteration)
	p.histogram("vllm:request_max_num_generation_tokens", "Longest answer of a request.", l, st.maxGeneration)
	p.histogram("vllm:request_params_n", "Parameter n of a request.", l, st.params)
	p.histogram("vllm:request_params_max_tokens", "Parameter max_tokens of a request.", l, st.maxTokens)
	p.histogram("vllm:time_to_first_token_seconds", "Seconds from arrival to the first token.", l, st.firstToken)
	if old {
		p.histogram("vllm:time_per_output_token_seconds", "Seconds between tokens.", l, st.interToken)
	} else {
		p.histogram("vllm:inter_token_latency_seconds", "Seconds between tokens.", l, st.interToken)
		p.histogram("vllm:request_time_per_output_token_seconds", "Mean seconds per token of a request.", l, st.perToken)
	}
	p.histogram("vllm:e2e_request_latency_seconds", "Seconds from arrival to the last token.", l, st.endToEnd)
	p.histogram("vllm:request_queue_time_seconds", "Seconds that a request waited.", l, st.queue)
	p.histogram("vllm:request_inference_time_seconds", "Seconds that a request ran.", l, st.inference)
	p.histogram("vllm:request_prefill_time_seconds", "Seconds from scheduling to the first token.", l, st.prefill)
	p.histogram("vllm:request_decode_time_seconds", "Seconds from the first to the last token.", l, st.decode)
	if !old {
		p.histogram("vllm:request_prefill_kv_computed_tokens", "Prompt tokens of a request that had to be computed.", l, st.uncached)
	}
	p.gauge("vllm:cache_config_info", "Settings of the KV cache.", e.cacheConfig(), 1)
	e.renderHTTP(p)
	return p.b
}

// vllmEnds returns how many requests ended for each reason that the version tells apart.
func (e *Engine) vllmEnds(with func(...pair) labels) []value {
	n := e.sim.st.ends
	names := []string{"stop", "length", "abort", "error", "repetition"} // in the order of type reason
	if e.sim.p.old {
		names = names[:3]
		n[ended] += n[repeated]
		n[aborted] += n[failed]
	}
	var ends []value
	for why, name := range names {
		ends = append(ends, value{with(pair{"finished_reason", name}), float64(n[why])})
	}
	return ends
}

func (e *Engine) cacheConfig() labels {
	return sortedLabels(
		pair{"block_size", strconv.Itoa(e.sim.p.blockSize)},
		pair{"cache_dtype", "auto"},
		pair{"enable_prefix_caching", "True"},
		pair{"engine", "0"},
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
	st := &e.sim.st
	handler := pair{"handler", "/v1/chat/completions"}
	post := pair{"method", "POST"}
	var total uint64
	for _, n := range st.ends {
		total += n
	}
	bad := st.ends[failed]
	p.counter("http_requests", "Requests by method, status and handler.",
		value{sortedLabels(handler, post, pair{"status", "2xx"}), float64(total - bad)},
		value{sortedLabels(handler, post, pair{"status", "5xx"}), float64(bad)})
	for _, f := range [...]struct {
		name string
		sum  float64
	}{{"http_request_size_bytes", st.requestBytes}, {"http_response_size_bytes", st.responseBytes}} {
		l := sortedLabels(handler)
		p.family(f.name, "summary", "Length of bodies by handler, as their header says.")
		p.sample(f.name, "_count", l, float64(total))
		p.sample(f.name, "_sum", l, f.sum)
		p.birth(f.name, "Length of bodies by handler, as their header says.", value{l: l})
	}
	p.histogram("http_request_duration_highr_seconds", "Latency over all handlers, with many buckets.", labels{}, st.httpPrecise)
	p.histogram("http_request_duration_seconds", "Latency by handler, with few buckets.", sortedLabels(handler, post), st.httpCoarse)
}
