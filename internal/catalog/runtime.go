package catalog

import "slices"

// Runtime holds the 28 unified metrics of inference engines, in the order in which they are exported. The first
// sixteen are the specification's, the others are GPUStack's own.
var Runtime = []Metric{
	{Name: Prefix + "num_requests_running", Type: Gauge, Help: "Requests that the engine is computing."},
	{Name: Prefix + "num_requests_waiting", Type: Gauge, Help: "Requests that wait in the engine's queue."},
	{Name: Prefix + "num_requests_swapped", Type: Gauge, Help: "Requests whose KV cache was swapped out to CPU memory."},
	{Name: Prefix + "prefix_cache_hit_rate", Type: Gauge, Help: "Share of prompt tokens found in the prefix cache, 0 to 1, as the engine computes it."},
	{Name: Prefix + "kv_cache_usage_ratio", Type: Gauge, Help: "Share of the KV cache in use, 0 to 1."},
	{Name: Prefix + "prefix_cache_queries", Type: Counter, Help: "Tokens looked up in the prefix cache."},
	{Name: Prefix + "prefix_cache_hits", Type: Counter, Help: "Tokens found in the prefix cache."},
	{Name: Prefix + "prompt_tokens", Type: Counter, Help: "Prompt tokens processed."},
	{Name: Prefix + "generation_tokens", Type: Counter, Help: "Tokens generated."},
	{Name: Prefix + "request_prompt_tokens", Type: Histogram, Help: "Prompt tokens of a request."},
	{Name: Prefix + "request_generation_tokens", Type: Histogram, Help: "Tokens generated for a request."},
	{Name: Prefix + "time_to_first_token_seconds", Type: Histogram, Help: "Time from a request's arrival to its first token (TTFT)."},
	{Name: Prefix + "inter_token_latency_seconds", Type: Histogram, Help: "Time between two successive tokens of a request, one observation a token."},
	{Name: Prefix + "time_per_output_token_seconds", Type: Histogram, Help: "Mean time per output token of a request after its first token (TPOT)."},
	{Name: Prefix + "e2e_request_latency_seconds", Type: Histogram, Help: "Time from a request's arrival to its last token."},
	{Name: Prefix + "request_success", Type: Counter, Help: "Requests that ended successfully; label finished_reason where the engine says why."},
	{Name: Prefix + "prompt_tokens_cached", Type: Counter, Help: "Prompt tokens that were not computed because they were cached."},
	{Name: Prefix + "request_queue_time_seconds", Type: Histogram, Help: "Time that a request waited before it was first scheduled."},
	{Name: Prefix + "request_inference_time_seconds", Type: Histogram, Help: "Time from a request's first scheduling to its last token."},
	{Name: Prefix + "request_prefill_time_seconds", Type: Histogram, Help: "Time from a request's first scheduling to its first token."},
	{Name: Prefix + "request_decode_time_seconds", Type: Histogram, Help: "Time from a request's first to its last token."},
	{Name: Prefix + "request_prefill_kv_computed_tokens", Type: Histogram, Help: "Prompt tokens of a request whose KV had to be computed."},
	{Name: Prefix + "request_params_n", Type: Histogram, Help: "The n parameter of a request."},
	{Name: Prefix + "request_params_max_tokens", Type: Histogram, Help: "The max_tokens parameter of a request."},
	{Name: Prefix + "request_preemptions", Type: Counter, Help: "Requests that the engine preempted to free KV cache."},
	{Name: Prefix + "spec_decode_accept_rate", Type: Gauge, Help: "Share of drafted tokens that speculative decoding accepted, 0 to 1, as the engine computes it."},
	{Name: Prefix + "spec_decode_accepted_tokens", Type: Counter, Help: "Drafted tokens that speculative decoding accepted."},
	{Name: Prefix + "spec_decode_draft_tokens", Type: Counter, Help: "Tokens drafted by speculative decoding."},
}

// RuntimeNewer holds GPUStack's unified metrics beyond those 28, in GPUStack's order: caches outside of the engine, speculative
// decoding, estimates of work, and prefill and decode in separate instances (pd_). They do not count for an engine's coverage, because
// most engines have no use for them.
var RuntimeNewer = []Metric{
	{Name: Prefix + "external_prefix_cache_queries", Type: Counter, Help: "Tokens looked up in the cache outside of the engine that its KV connector leads to."},
	{Name: Prefix + "external_prefix_cache_hits", Type: Counter, Help: "Tokens found in the cache outside of the engine, KV cache that a prefill instance sent among them."},
	{Name: Prefix + "spec_decode_drafts", Type: Counter, Help: "Times that speculative decoding drafted tokens."},
	{Name: Prefix + "spec_decode_accept_length", Type: Gauge, Help: "Tokens that a step of speculative decoding generates on average, as the engine computes it; 1 if no drafted token is accepted."},
	{Name: Prefix + "estimated_flops_per_gpu", Type: Counter, Help: "Floating-point operations that one GPU of the engine made, as the engine estimates them; average it over instances, don't add it up."},
	{Name: Prefix + "estimated_read_bytes_per_gpu", Type: Counter, Help: "Bytes that one GPU of the engine read from its memory, as the engine estimates them; average it over instances, don't add it up."},
	{Name: Prefix + "estimated_write_bytes_per_gpu", Type: Counter, Help: "Bytes that one GPU of the engine wrote to its memory, as the engine estimates them; average it over instances, don't add it up."},
	{Name: Prefix + "num_requests_waiting_by_reason", Type: Gauge, Help: "Requests that wait in the engine's queue, by reason: capacity or deferred. Its values are parts of num_requests_waiting.", Labels: []string{"reason"}},
	{Name: Prefix + "pd_prompt_tokens_by_source", Type: Counter, Help: "Prompt tokens by where their KV cache comes from: local_compute, local_cache_hit (the engine's prefix cache) or external_kv_transfer (another instance or a cache outside of the engine).", Labels: []string{"source"}},
	{Name: Prefix + "pd_kv_transfer_bytes", Type: Histogram, Help: "Bytes of KV cache that a transfer between instances moved."},
	{Name: Prefix + "pd_kv_transfer_seconds", Type: Histogram, Help: "Time of a transfer of KV cache between instances: of vLLM the transfer itself, of SGLang its handshake."},
	{Name: Prefix + "pd_kv_transfer_latency_seconds", Type: Histogram, Help: "Time that the KV cache of a request took from one instance to another, without the handshake."},
	{Name: Prefix + "pd_kv_transfer_alloc_seconds", Type: Histogram, Help: "Time that a request waited for memory to receive its KV cache in."},
	{Name: Prefix + "pd_kv_transfer_post_seconds", Type: Histogram, Help: "Time that it took to submit a transfer of KV cache."},
	{Name: Prefix + "pd_kv_transfer_descriptors", Type: Histogram, Help: "Memory segments of a transfer of KV cache."},
	{Name: Prefix + "pd_kv_transfer_failed", Type: Counter, Help: "Transfers of KV cache between instances that failed."},
	{Name: Prefix + "pd_kv_notification_failed", Type: Counter, Help: "Notices of completed transfers of KV cache that were lost."},
	{Name: Prefix + "pd_kv_lease_expired", Type: Counter, Help: "Requests whose KV cache a prefill instance dropped because no decode instance read it in time."},
	{Name: Prefix + "pd_bootstrap_failed", Type: Counter, Help: "Requests whose handshake between prefill and decode failed."},
	{Name: Prefix + "pd_prefill_retries", Type: Counter, Help: "Prefills that were tried again."},
	{Name: Prefix + "pd_prefill_bootstrap_queue_requests", Type: Gauge, Help: "Requests on a prefill instance that wait for the handshake with a decode instance; they are not in num_requests_waiting."},
	{Name: Prefix + "pd_prefill_inflight_queue_requests", Type: Gauge, Help: "Requests on a prefill instance whose KV cache is being sent; they are not in num_requests_waiting."},
	{Name: Prefix + "pd_decode_prealloc_queue_requests", Type: Gauge, Help: "Requests on a decode instance that wait for memory for their KV cache; they are not in num_requests_waiting."},
	{Name: Prefix + "pd_decode_transfer_queue_requests", Type: Gauge, Help: "Requests on a decode instance whose KV cache is on its way; they are not in num_requests_waiting."},
	{Name: Prefix + "pd_decode_pending_prealloc_token_usage", Type: Gauge, Help: "Share of a decode instance's KV cache that is promised to requests and not allocated yet, 0 to 1."},
	{Name: Prefix + "pd_router_requests", Type: Counter, Help: "Requests that a router took; it counts each once. Label route or worker, the URL of an engine, as the router has it."},
	{Name: Prefix + "pd_router_prefill_requests", Type: Counter, Help: "Requests that a router sent to a prefill instance.", Labels: []string{"worker"}},
	{Name: Prefix + "pd_router_decode_requests", Type: Counter, Help: "Requests that a router sent to a decode instance.", Labels: []string{"worker"}},
	{Name: Prefix + "pd_router_decode_errors", Type: Counter, Help: "Requests that failed on a decode instance before the router tried again.", Labels: []string{"worker"}},
	{Name: Prefix + "pd_router_prefill_errors", Type: Counter, Help: "Requests that failed on a prefill instance before the router tried again.", Labels: []string{"worker"}},
	{Name: Prefix + "pd_router_worker_selections", Type: Counter, Help: "Times that a router chose an instance, by worker_type: prefill or decode.", Labels: []string{"worker_type"}},
	{Name: Prefix + "pd_router_worker_requests_active", Type: Gauge, Help: "Requests that a router has sent to an instance and that have not ended.", Labels: []string{"worker"}},
	{Name: Prefix + "pd_router_worker_health", Type: Gauge, Help: "Whether a router sends requests to an instance (1) or has ejected it (0).", Labels: []string{"worker"}},
	{Name: Prefix + "pd_router_request_duration_seconds", Type: Histogram, Help: "Time from a request's arrival at a router to the end of its answer, prefill and decode included."},
}

// RuntimeExtra holds more metrics of the built-in mapping: GPUStack's newer ones, then some of our own, each of which at least two
// runtimes have. They do not count for an engine's coverage.
var RuntimeExtra = slices.Concat(RuntimeNewer, RuntimeOwn)

// RuntimeOwn holds the metrics of inference engines that GPUStack does not have.
var RuntimeOwn = []Metric{
	{Name: Prefix + "request_received", Type: Counter, Help: "Requests that arrived."},
	{Name: Prefix + "request_failed", Type: Counter, Help: "Requests that ended with an error."},
	{Name: Prefix + "request_aborted", Type: Counter, Help: "Requests that were given up before their end."},
	{Name: Prefix + "kv_cache_capacity_tokens", Type: Gauge, Help: "Tokens that the KV cache has room for."},
	{Name: Prefix + "kv_cache_used_tokens", Type: Gauge, Help: "Tokens that the KV cache holds."},
	{Name: Prefix + "kv_transfer_time_seconds", Type: Histogram, Help: "Time that a transfer of KV cache between engines took."},
}
