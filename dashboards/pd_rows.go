package dashboards

import (
	"slices"
	"strings"
)

// pdLines is a time series panel of the dashboard about prefill and decode.
func pdLines(title, description, unit, absent string, width int, queries ...Query) Panel {
	return Panel{Kind: TimeSeries, W: width, Title: title, Description: description, Unit: unit, Min: new(0.0), NoValue: absent, Queries: queries, Overrides: []Override{thin()}}
}

const (
	noSGLang = "SGLang alone has these queues"
	byRole   = "role"
)

// sides is quantiles() with the mean, which the engine's buckets cannot distort: those of NIXL end at 5 seconds.
func sides(title, description, family, selector, by string) []Panel {
	panels := quantiles(title, description, family, selector, by)
	selector = strings.Join(append([]string{selector}, streamed(family)...), ", ")
	of := func(suffix string) string { return rateOver(by, family+suffix+"{"+selector+"}") }
	panels[0].Queries = append(panels[0].Queries, Query{Expr: of("_sum") + " / (" + of("_count") + " > 0)", Legend: "mean {{" + by + "}}"})
	panels[0].Overrides = []Override{thin(), {Matching: "mean.*", Properties: map[string]any{"custom.lineStyle": object{"fill": "dash", "dash": []int{8, 6}}}}}
	return panels
}

func pdQueues() []Panel {
	waiting := pdLines("Waiting requests by what they wait for", "Requests that wait for the prefill side, for their KV cache to arrive, and for the decode side, SGLang's queue for memory included. The highest line is the bottleneck.", "none", "not measured", 12,
		Query{Expr: waitingForPrefill(), Legend: "prefill"}, Query{Expr: waitingForTransfer(), Legend: "transfer"}, Query{Expr: waitingForDecode(), Legend: "decode"})
	for _, v := range bottlenecks()[1:] {
		waiting.Overrides = append(waiting.Overrides, painted(v.Text, v.Color))
	}
	over := Panel{
		Kind: StateTimeline, W: 12, Title: "Bottleneck over time", Description: aboutBottleneck, Values: bottlenecks(), NoValue: "no instance has a role",
		Queries: []Query{{Expr: bottleneck(), Legend: "bottleneck"}},
	}
	queue := func(family, legend string) Query {
		return Query{Expr: "sum(" + pd(family, counting(family)) + ")", Legend: legend}
	}
	by := "role, model_instance_name"
	cache := pdLines("KV cache in use", "Share of the KV cache in use, of the 20 fullest instances of the chosen roles. A full one on the decode side makes the prefill side wait, because a transfer needs memory there first.", "percentunit", "not measured", 8,
		Query{Expr: topGauge(mostLines, by, "max", "gpustack:kv_cache_usage_ratio", modelSelector+", "+chosenRoles), Legend: "{{role}} {{model_instance_name}}"})
	cache.Max, cache.Thresholds = new(1.0), limits(0.9, 0.98)
	pending := pdLines("KV cache promised, not allocated", "Share of the decode side's KV cache that is promised to requests and not allocated yet. Near 1 with requests in the prealloc queue: the decode side has too little memory.", "percentunit", noSGLang, 8,
		Query{Expr: topGauge(mostLines, byInstance, "max", "gpustack:pd_decode_pending_prealloc_token_usage", modelSelector), Legend: instanceLegend})
	return []Panel{
		waiting, over,
		pdLines("Running requests by role", "Requests that the instances of each role compute. The prefill side's should end soon; the decode side's last as long as answers do.", "none", "not measured", 8,
			Query{Expr: "sum by (role) (" + pd("num_requests_running", chosenRoles) + ")", Legend: "{{role}}"}),
		pdLines("Waiting requests by role", "Requests in the engines' own queues, by role. SGLang's queues of handshakes and transfers are in the panel beside.", "none", "not measured", 8,
			Query{Expr: "sum by (role) (" + pd("num_requests_waiting", chosenRoles) + ")", Legend: "{{role}}"}),
		pdLines("SGLang's queues between the sides", "bootstrap: waits for the handshake with the decode side. inflight: its KV cache is being sent. prealloc: waits for memory of the decode side. transfer: waits for its KV cache to arrive, also while the prefill side computes it. A request is in one queue of each side.", "none", noSGLang, 8,
			queue("pd_prefill_bootstrap_queue_requests", "prefill: bootstrap"), queue("pd_prefill_inflight_queue_requests", "prefill: inflight"),
			queue("pd_decode_prealloc_queue_requests", "decode: prealloc"), queue("pd_decode_transfer_queue_requests", "decode: transfer")),
		cache, pending,
		pdLines("Waiting requests by reason", "vLLM's reasons. capacity: all places or the KV cache are taken. deferred: the KV cache of the request has not arrived.", "none", "this engine does not tell the reason: vLLM from 0.19 on does", 8,
			Query{Expr: "sum by (role, reason) (" + pd("num_requests_waiting_by_reason", chosenRoles) + ")", Legend: "{{role}} {{reason}}"}),
		pdLines("Preempted per second by role", "Requests that were stopped to free KV cache, and are computed again later. On the decode side the KV cache is too small for the load.", "reqps", "not measured", 24,
			Query{Expr: rateOver(byRole, pd("request_preemptions_total", chosenRoles)), Legend: "{{role}}"}),
	}
}

func pdTransfers() []Panel {
	const absent = "this engine does not measure it"
	mean := func(family, legend string) Query {
		return Query{Expr: "(" + transferred(family+"_sum") + ") / ((" + transferred(family+"_count") + ") > 0)", Legend: legend}
	}
	failed := func(family, legend string) Query {
		return Query{Expr: rateOf(pd(family, counting(family))), Legend: legend}
	}
	selector := modelSelector + `, role!="router"`
	panels := []Panel{
		pdLines("KV cache sent per second", "Bytes of KV cache per second between the sides. A flat top is the network's limit.", "Bps", absent, 8, Query{Expr: transferred("pd_kv_transfer_bytes_sum"), Legend: "sent"}),
		pdLines("Size of a transfer", "Mean bytes of a transfer. It follows the length of prompts; a prefix cache on the decode side makes it smaller.", "bytes", absent, 8, mean("pd_kv_transfer_bytes", "mean")),
		pdLines("Failed transfers per second", "failed: the transfer broke off. handshake failed: the sides could not agree. expired: the decode side never read the KV cache. notification failed: the prefill side was not told that the transfer ended. retried: the prefill side computed again. Above 0: look at the network and the logs of both sides.", "cps", absent, 8,
			failed("pd_kv_transfer_failed_total", "failed"), failed("pd_bootstrap_failed_total", "handshake failed"), failed("pd_kv_lease_expired_total", "expired"),
			failed("pd_kv_notification_failed_total", "notification failed"), failed("pd_prefill_retries_total", "retried")),
	}
	panels = slices.Concat(panels,
		sides("Transfer time (vLLM), handshake (SGLang)", "vLLM with NIXL: time on the wire. SGLang: time of the handshake, health probes included. It is part of every user's time to the first token.", "gpustack:pd_kv_transfer_seconds", selector, byRole),
		sides("Transfer time (SGLang)", "SGLang: time from the end of the prefill until the KV cache has arrived. Long with small transfers: the network, or too many transfers at once.", "gpustack:pd_kv_transfer_latency_seconds", selector, byRole),
		[]Panel{
			pdLines("Steps of a transfer, mean", "allocate: SGLang waits for buffers of the decode side. submit: vLLM gives the transfer to NIXL. Long allocation: the decode side has no memory left.", "s", absent, 12,
				mean("pd_kv_transfer_alloc_seconds", "allocate"), mean("pd_kv_transfer_post_seconds", "submit")),
			pdLines("Segments of a transfer, mean", "Segments that NIXL sends in one transfer. Many small ones are slow: different parallelism of the sides splits them.", "none", absent, 12,
				mean("pd_kv_transfer_descriptors", "segments")),
		})
	for i := range panels {
		if panels[i].NoValue == "" {
			panels[i].NoValue = absent
		}
	}
	return panels
}

func pdLatency() []Panel {
	selector := modelSelector + ", " + chosenRoles + `, role!="router"`
	decode := modelSelector + ", " + chosenRoles + `, role!~"prefill|router"`
	panels := slices.Concat(
		sides("Time to first token by side", "What each side measures from the arrival of the request there. vLLM: users wait for both. SGLang: users wait for the decode side's time; streamed answers only, from 0.5.17 on. mean of users: what they wait in all.", "gpustack:time_to_first_token_seconds", selector, byRole),
		sides("End-to-end latency by side", "From the arrival at a side to the last token there. The prefill side's ends with its first token.", "gpustack:e2e_request_latency_seconds", selector, byRole),
		sides("Time between tokens", "Between two tokens of a request on the decode side. It should not depend on prompts: they are computed elsewhere.", "gpustack:inter_token_latency_seconds", decode, byRole),
		sides("Time per output token", "Mean of a request's time per token after the first, on the decode side.", "gpustack:time_per_output_token_seconds", decode, byRole),
		sides("Queue time by side", "From the arrival at a side to the first scheduling there.", "gpustack:request_queue_time_seconds", selector, byRole),
		sides("Prefill time by side", "From the first scheduling to the first token. On the decode side it should be near 0: the KV cache has arrived.", "gpustack:request_prefill_time_seconds", selector, byRole),
		sides("Decode time by side", "From the first to the last token. The prefill side generates one token, so its time is 0.", "gpustack:request_decode_time_seconds", selector, byRole),
	)
	for i := range panels {
		panels[i].NoValue = "these engines do not measure it, or no request came"
	}
	for i, family := range []string{"time_to_first_token_seconds", "e2e_request_latency_seconds"} {
		const users = "mean of users"
		panels[2*i].Queries = append([]Query{{Expr: whole(family), Legend: users}}, panels[2*i].Queries...)
		panels[2*i].Overrides = append(panels[2*i].Overrides, aggregateLine(users))
	}
	return append(panels, pdLines("Whole requests, mean by step", "Mean time that a request spends in each step on each side: where the time goes.", "s", "these engines do not measure it", 12,
		Query{Expr: meanBySide("request_queue_time_seconds"), Legend: "{{role}} queue"}, Query{Expr: meanBySide("request_prefill_time_seconds"), Legend: "{{role}} prefill"},
		Query{Expr: meanBySide("request_decode_time_seconds"), Legend: "{{role}} decode"}))
}

// meanBySide is the mean observation of a histogram on each side.
func meanBySide(family string) string {
	of := func(suffix string) string { return rateOver(byRole, pd(family+suffix, chosenRoles, `role!="router"`)) }
	return of("_sum") + " / (" + of("_count") + " > 0)"
}

func pdTokens() []Panel {
	mean := func(family string) string {
		return rateOf(pdCounted(family+"_sum")) + " / (" + rateOf(pdCounted(family+"_count")) + " > 0)"
	}
	hits := rateOf(pdCounted("prefix_cache_hits_total")) + " / (" + rateOf(pdCounted("prefix_cache_queries_total")) + " > 0) or avg(" + pdCounted("prefix_cache_hit_rate") + ")"
	sources := pdLines("Prompt tokens by source", "vLLM's account of prompt tokens. local_compute: computed here. local_cache_hit: found in the prefix cache. external_kv_transfer: came from the other side. On the decode side nearly all should come by transfer: what it computes itself is work done twice.", tokensPerSecond, "this engine does not tell the source: vLLM does", 12,
		Query{Expr: rateOver("role, source", pd("pd_prompt_tokens_by_source_total", chosenRoles)), Legend: "{{role}} {{source}}"})
	cache := pdLines("Prefix cache hit rate by side", "Share of looked-up tokens that were cached. On the decode side transferred tokens may look like hits: the line all is the prefill side's.", "percentunit", "not measured", 12,
		Query{Expr: hits, Legend: "all"},
		Query{Expr: rateOver(byRole, pd("prefix_cache_hits_total", chosenRoles)) + " / (" + rateOver(byRole, pd("prefix_cache_queries_total", chosenRoles)) + " > 0)", Legend: "{{role}}"})
	cache.Max = new(1.0)
	cache.Overrides = append(cache.Overrides, aggregateLine("all"))
	reasons := pdLines("Finished requests by reason", "Why requests ended, counted on the decode side. The prefill side ends each request after its first token, for length.", "reqps", "no request ended yet", 12,
		Query{Expr: rateOver("finished_reason", pdCounted("request_success_total")), Legend: "{{finished_reason}}"})
	return []Panel{
		pdLines("Tokens per second", "Prompt tokens are counted on the prefill side, generated ones on the decode side. cached: prompt tokens that the prefill side had in its cache.", tokensPerSecond, "not measured", 12,
			Query{Expr: rateOf(pdCounted("prompt_tokens_total")), Legend: "prompt"}, Query{Expr: rateOf(pdCounted("prompt_tokens_cached_total")), Legend: "cached"}, Query{Expr: rateOf(pdCounted("generation_tokens_total")), Legend: "generated"}),
		sources, cache, reasons,
		pdLines("Prompt tokens a request", "Mean of prompt tokens, counted on the prefill side. Longer prompts need more prefill instances.", "short", "not measured", 12, Query{Expr: mean("request_prompt_tokens"), Legend: "prompt"}),
		pdLines("Generated tokens a request", "Mean of generated tokens, counted on the decode side. Longer answers need more decode instances.", "short", "not measured", 12, Query{Expr: mean("request_generation_tokens"), Legend: "generated"}),
	}
}

func pdRouter() []Panel {
	const absent = "the router is not read, or does not measure it"
	router := func(family string) string { return pd("pd_router_"+family, counting("pd_router_"+family)) }
	by := func(label, family, legend string) Query {
		return Query{Expr: rateOver(label, router(family)), Legend: legend}
	}
	panels := []Panel{
		pdLines("Requests through the router", "Requests per second that the router took, and that it sent to each side. Selections are its choices of an instance, by side. Fewer on one side than taken: requests fail before they reach it.", "reqps", absent, 12,
			Query{Expr: rateOf(router("requests_total")), Legend: "taken"}, Query{Expr: rateOf(router("prefill_requests_total")), Legend: "to prefill"}, Query{Expr: rateOf(router("decode_requests_total")), Legend: "to decode"},
			by("worker_type", "worker_selections_total", "selections {{worker_type}}")),
		pdLines("Errors of the router by engine", "Requests per second that failed between the router and an engine, by its URL; before a retry. One engine alone: look at its log. All: the network, or a timeout.", "cps", "no errors, or "+absent, 12,
			by("worker", "prefill_errors_total", "prefill {{worker}}"), by("worker", "decode_errors_total", "decode {{worker}}")),
		{
			Kind: StateTimeline, W: 12, Title: "Health of engines as the router sees it", NoValue: absent, Values: []Value{{Value: 1, Text: "healthy", Color: "green"}, {Value: 0, Text: "ejected", Color: "red"}},
			Description: "Whether the router sends requests to each engine. ejected: it failed health checks; the router sends it nothing until it answers again.",
			Queries:     []Query{{Expr: "min by (worker) (" + router("worker_health") + ")", Legend: "{{worker}}"}},
		},
		pdLines("Active requests by engine", "Requests that the router has open at each engine. One engine with far more than others of its side is slow, or preferred by the router's policy.", "none", absent, 12,
			Query{Expr: "sum by (worker) (" + router("worker_requests_active") + ")", Legend: "{{worker}}"}),
	}
	duration := sides("Duration of requests at the router", "From the arrival at the router to the end of the answer, both sides included: what users wait.", "gpustack:pd_router_request_duration_seconds", modelSelector+", "+counting("pd_router_request_duration_seconds"), "runtime")
	for i := range duration {
		duration[i].NoValue = absent
	}
	instances := func(family string) string {
		return "sum by (role) (max by (cluster_id, cluster_name, model_id, model_name, role) (" + pd(family) + "))"
	}
	return slices.Concat(panels, duration, []Panel{
		pdLines("Instances by role", "Instances of each role that are ready, and that are known. Ready below known: an instance starts, failed or is away.", "none", "no server scraped", 12,
			Query{Expr: instances("model_role_ready_instances"), Legend: "{{role}} ready"}, Query{Expr: instances("model_role_desired_instances"), Legend: "{{role}} known"}),
	})
}

func pdWork() []Panel {
	const off = "speculative decoding is off, or this engine does not report it"
	const unmeasured = "vLLM with --enable-mfu-metrics and SGLang estimate it"
	rate := func(family string) string { return rateOf(pdCounted(family)) }
	accepted := pdLines("Accepted share of drafted tokens", "Share of drafted tokens that the decode side accepted: from counters, or the engine's own figure. Below about 40 % drafting costs more than it saves.", "percentunit", off, 8,
		Query{Expr: rate("spec_decode_accepted_tokens_total") + " / (" + rate("spec_decode_draft_tokens_total") + " > 0) or avg(" + pdCounted("spec_decode_accept_rate") + ")", Legend: "accepted"})
	accepted.Max = new(1.0)
	work := func(title, family, unit, description string) Panel {
		return pdLines(title, description+" Mean of the GPUs of each role; an estimate of the engine.", unit, unmeasured, 8,
			Query{Expr: "avg by (role) (rate(" + pd(family, chosenRoles) + "[$__rate_interval]))", Legend: "{{role}}"})
	}
	return []Panel{
		accepted,
		pdLines("Tokens per step", "Tokens that one step of the decode side yields: 1 without accepted drafts. vLLM: 1 plus accepted tokens for each draft. SGLang: its own figure; its 0 means that it drafts nothing, and is not shown.", "none", off, 8,
			Query{Expr: "1 + " + rate("spec_decode_accepted_tokens_total") + " / (" + rate("spec_decode_drafts_total") + " > 0) or avg(" + pdCounted("spec_decode_accept_length") + " > 0)", Legend: "tokens per step"}),
		pdLines("Drafted and accepted tokens", "Tokens drafted and accepted per second. What is drafted and not accepted is wasted work.", tokensPerSecond, off, 8,
			Query{Expr: rate("spec_decode_draft_tokens_total"), Legend: "drafted"}, Query{Expr: rate("spec_decode_accepted_tokens_total"), Legend: "accepted"}),
		work("Computation per GPU", "estimated_flops_per_gpu_total", "si:FLOPS", "Floating-point operations per second. The prefill side should be near what its GPU can do; the decode side is limited by memory."),
		work("Memory reads per GPU", "estimated_read_bytes_per_gpu_total", "Bps", "Bytes read from GPU memory per second. The decode side should be near the bandwidth of its memory."),
		work("Memory writes per GPU", "estimated_write_bytes_per_gpu_total", "Bps", "Bytes written to GPU memory per second."),
	}
}
