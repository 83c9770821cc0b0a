package catalog

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

// RuntimeExtra holds more metrics of the built-in mapping, each of which at least two runtimes have. They do not
// count for an engine's coverage.
var RuntimeExtra = []Metric{
	{Name: Prefix + "request_received", Type: Counter, Help: "Requests that arrived."},
	{Name: Prefix + "request_failed", Type: Counter, Help: "Requests that ended with an error."},
	{Name: Prefix + "request_aborted", Type: Counter, Help: "Requests that were given up before their end."},
	{Name: Prefix + "kv_cache_capacity_tokens", Type: Gauge, Help: "Tokens that the KV cache has room for."},
	{Name: Prefix + "kv_cache_used_tokens", Type: Gauge, Help: "Tokens that the KV cache holds."},
	{Name: Prefix + "kv_transfer_time_seconds", Type: Histogram, Help: "Time that a transfer of KV cache between engines took."},
	{Name: Prefix + "spec_decode_drafts", Type: Counter, Help: "Times that speculative decoding drafted tokens."},
}
