package catalog

import "strings"

// Counting says which instances of a model count a metric where prefill and decode are separate instances. Such a request passes both, and
// each counts it: adding up both sides counts it twice. Instances without a role do all the work of a request and always count.
type Counting string

// The four ways to count.
const (
	CountsDecode  Counting = "decode"
	CountsPrefill Counting = "prefill"
	CountsEngines Counting = "prefill and decode" // each side has a part of its own, or one side alone has the metric
	CountsRouter  Counting = "router"
)

// Matcher returns the PromQL label matcher that selects the instances that count, those without a role among them.
func (c Counting) Matcher() string {
	switch c {
	case CountsDecode:
		return LabelRole + `!~"prefill|router"`
	case CountsPrefill:
		return LabelRole + `!~"decode|router"`
	case CountsRouter:
		return LabelRole + `!~"prefill|decode"`
	default:
		return LabelRole + `!="router"`
	}
}

// RoleRow is a row of the table of counting roles.
type RoleRow struct {
	Counts  Counting
	Metrics []string // without prefix, as in the catalog
	Why     string
}

// RoleTable returns, for every unified metric of engines and routers, the role that counts. Sources: vLLM's NIXL connector and proxies,
// which send a request to the prefill instance with max_tokens 1 and then to the decode instance; SGLang's router, which sends it to
// both at once, and its tokenizer_manager.py, in which a prefill instance does not observe the time to the first token.
func RoleTable() []RoleRow { return roleTable }

var roleTable = []RoleRow{
	{CountsDecode, []string{"request_success", "e2e_request_latency_seconds", "request_inference_time_seconds"}, "A request ends on the decode instance. On the prefill instance it ends after its first token."},
	{CountsDecode, []string{"generation_tokens", "request_generation_tokens"}, "The decode instance generates the answer. The prefill instance generates one token of each, which the decode instance counts as well."},
	{CountsDecode, []string{"inter_token_latency_seconds", "time_per_output_token_seconds", "request_decode_time_seconds"}, "Only the decode instance generates several tokens of a request. The prefill instance adds observations of 0, or of the transfer."},
	{CountsDecode, []string{"time_to_first_token_seconds"}, "The decode instance streams the first token, and SGLang's prefill instances do not measure it. It counts from the arrival at the decode instance: on SGLang, whose router sends a request to both sides at once, this is the whole time; on vLLM the prefill instance's time comes before it."},
	{CountsDecode, []string{"request_params_n", "request_params_max_tokens"}, "The router sends the prefill instance parameters of its own, such as max_tokens 1."},
	{CountsDecode, []string{"spec_decode_accept_rate", "spec_decode_accepted_tokens", "spec_decode_draft_tokens", "spec_decode_drafts", "spec_decode_accept_length"}, "Drafted tokens are accepted while decoding."},
	{CountsPrefill, []string{"prompt_tokens", "request_prompt_tokens", "request_received", "pd_prompt_tokens_by_source"}, "A prompt arrives and is computed on the prefill instance. The decode instance counts the same tokens."},
	{CountsPrefill, []string{"prompt_tokens_cached", "prefix_cache_hit_rate", "prefix_cache_queries", "prefix_cache_hits", "external_prefix_cache_queries", "external_prefix_cache_hits"}, "On the decode instance the tokens that the prefill instance sent look like cached ones."},
	{CountsPrefill, []string{"request_prefill_time_seconds", "request_prefill_kv_computed_tokens"}, "The prompt is computed on the prefill instance."},
	{CountsEngines, []string{"num_requests_running", "num_requests_waiting", "num_requests_swapped", "num_requests_waiting_by_reason"}, "Each side has requests of its own. On SGLang a request may be in a queue of both sides."},
	{CountsEngines, []string{"kv_cache_usage_ratio", "kv_cache_capacity_tokens", "kv_cache_used_tokens"}, "Each side has a KV cache of its own."},
	{CountsEngines, []string{"request_queue_time_seconds", "request_preemptions"}, "A request may wait, or be preempted, on each side."},
	{CountsEngines, []string{"request_failed", "request_aborted"}, "A request that fails on the prefill instance may never reach the decode instance. One that fails in the transfer may count on both."},
	{CountsEngines, []string{"estimated_flops_per_gpu", "estimated_read_bytes_per_gpu", "estimated_write_bytes_per_gpu"}, "Each side computes. These are means of GPUs: average them."},
	{CountsDecode, []string{"pd_kv_transfer_seconds", "pd_kv_transfer_alloc_seconds", "pd_kv_transfer_post_seconds", "pd_kv_transfer_descriptors"}, "With NIXL the decode instance reads the KV cache and measures it. SGLang measures the handshake on both sides."},
	{CountsEngines, []string{"kv_transfer_time_seconds", "pd_kv_transfer_bytes", "pd_kv_transfer_latency_seconds"}, "One side measures a transfer: with NIXL the decode instance, with SGLang the prefill instance."},
	{CountsEngines, []string{"pd_kv_transfer_failed", "pd_kv_notification_failed", "pd_kv_lease_expired", "pd_bootstrap_failed", "pd_prefill_retries"}, "Each side notices failures of its own. SGLang may count one failure on both."},
	{CountsEngines, []string{"pd_prefill_bootstrap_queue_requests", "pd_prefill_inflight_queue_requests", "pd_decode_prealloc_queue_requests", "pd_decode_transfer_queue_requests", "pd_decode_pending_prealloc_token_usage"}, "One side has the queue. The same request may be in a queue of the other side."},
	{CountsRouter, []string{
		"pd_router_requests", "pd_router_prefill_requests", "pd_router_decode_requests", "pd_router_prefill_errors", "pd_router_decode_errors",
		"pd_router_worker_selections", "pd_router_worker_requests_active", "pd_router_worker_health", "pd_router_request_duration_seconds",
	}, "Only routers have them. Engines count the same requests: do not add the two up."},
}

var countings = func() map[string]Counting {
	all := map[string]Counting{}
	for _, row := range roleTable {
		for _, m := range row.Metrics {
			all[Prefix+m] = row.Counts
		}
	}
	return all
}()

// CountingOf returns which instances count a metric, by the metric's name or the name of one of its samples. It reports false for a metric
// that every instance has for itself, such as its GPU memory.
func CountingOf(name string) (Counting, bool) {
	if c, ok := countings[name]; ok {
		return c, true
	}
	for _, suffix := range []string{"_total", "_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			c, ok := countings[base]
			return c, ok
		}
	}
	return "", false
}
