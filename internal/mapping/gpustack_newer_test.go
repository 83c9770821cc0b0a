package mapping

import (
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/catalog"
)

// gpustackNewer are the unified metrics that GPUStack has beyond its first 28, with the natives that feed them there and their
// scale, and those of the 28 that have other natives there than they had. Source: GPUStack's assets/metrics_config/metrics_config.yaml at 75284c68.
const gpustackNewer = `
external_prefix_cache_queries counter vllm:external_prefix_cache_queries
external_prefix_cache_hits counter vllm:external_prefix_cache_hits
spec_decode_drafts counter vllm:spec_decode_num_drafts
spec_decode_accept_length gauge sglang:spec_accept_length
estimated_flops_per_gpu counter vllm:estimated_flops_per_gpu sglang:estimated_flops_per_gpu
estimated_read_bytes_per_gpu counter vllm:estimated_read_bytes_per_gpu sglang:estimated_read_bytes_per_gpu
estimated_write_bytes_per_gpu counter vllm:estimated_write_bytes_per_gpu sglang:estimated_write_bytes_per_gpu
num_requests_waiting_by_reason gauge vllm:num_requests_waiting_by_reason
pd_prompt_tokens_by_source counter vllm:prompt_tokens_by_source
pd_kv_transfer_bytes histogram vllm:nixl_bytes_transferred sglang:kv_transfer_total_mb*1048576
pd_kv_transfer_seconds histogram vllm:nixl_xfer_time_seconds sglang:kv_transfer_bootstrap_ms*0.001
pd_kv_transfer_latency_seconds histogram sglang:kv_transfer_latency_ms*0.001
pd_kv_transfer_alloc_seconds histogram sglang:kv_transfer_alloc_ms*0.001
pd_kv_transfer_post_seconds histogram vllm:nixl_post_time_seconds
pd_kv_transfer_descriptors histogram vllm:nixl_num_descriptors
pd_kv_transfer_failed counter vllm:nixl_num_failed_transfers sglang:num_transfer_failed_reqs
pd_kv_notification_failed counter vllm:nixl_num_failed_notifications
pd_kv_lease_expired counter vllm:nixl_num_kv_expired_reqs
pd_bootstrap_failed counter sglang:num_bootstrap_failed_reqs
pd_prefill_retries counter sglang:num_prefill_retries
pd_prefill_bootstrap_queue_requests gauge sglang:num_prefill_bootstrap_queue_reqs
pd_prefill_inflight_queue_requests gauge sglang:num_prefill_inflight_queue_reqs
pd_decode_prealloc_queue_requests gauge sglang:num_decode_prealloc_queue_reqs
pd_decode_transfer_queue_requests gauge sglang:num_decode_transfer_queue_reqs
pd_decode_pending_prealloc_token_usage gauge sglang:pending_prealloc_token_usage
pd_router_requests counter vllm_router_pd_requests sgl_router_pd_requests smg_router_requests
pd_router_prefill_requests counter vllm_router_pd_prefill_requests sgl_router_pd_prefill_requests
pd_router_decode_requests counter vllm_router_pd_decode_requests sgl_router_pd_decode_requests
pd_router_decode_errors counter vllm_router_pd_decode_errors sgl_router_pd_decode_errors
pd_router_prefill_errors counter sgl_router_pd_prefill_errors
pd_router_worker_selections counter smg_worker_selection
pd_router_worker_requests_active gauge smg_worker_requests_active
pd_router_worker_health gauge smg_worker_health
pd_router_request_duration_seconds histogram vllm_router_pd_request_duration_seconds smg_router_request_duration_seconds
request_preemptions counter vllm:num_preemptions sglang:num_retracted_reqs sglang:num_retracted_requests
request_prompt_tokens histogram vllm:request_prompt_tokens sglang:prompt_tokens_histogram
request_generation_tokens histogram vllm:request_generation_tokens sglang:generation_tokens_histogram
spec_decode_draft_tokens counter vllm:spec_decode_num_draft_tokens sglang:spec_num_draft_tokens
prompt_tokens_cached counter vllm:prompt_tokens_cached sglang:cached_tokens
`

func TestDefault_HasGPUStacksNewerMetrics(t *testing.T) {
	c := compileDefault(t)
	listed := 0
	for line := range strings.Lines(strings.TrimSpace(gpustackNewer)) {
		fields := strings.Fields(line)
		name, typ, natives := catalog.Prefix+fields[0], catalog.Type(fields[1]), fields[2:]
		i := slices.IndexFunc(c.Families(), func(f Family) bool { return f.Name == name })
		if i < 0 {
			t.Errorf("%s is missing", name)
			continue
		}
		if got := c.Families()[i].Type; got != typ {
			t.Errorf("%s is a %s, GPUStack's is a %s", name, got, typ)
		}
		if slices.ContainsFunc(catalog.RuntimeNewer, func(m catalog.Metric) bool { return m.Name == name }) {
			listed++
		}
		for _, native := range natives {
			native, text, scaled := strings.Cut(native, "*")
			scale := map[string]float64{"": 1, "0.001": 0.001, "1048576": 1048576}[text]
			runtime := "SGLang"
			if strings.HasPrefix(native, "vllm") {
				runtime = "vLLM"
			}
			// GPUStack has these for each version, also for one that is not known.
			targets := c.Plan(runtime, "").Lookup([]byte(native))
			at := slices.IndexFunc(targets, func(target Target) bool { return target.Family == i })
			if at < 0 {
				t.Errorf("%s does not feed %s", native, name)
				continue
			}
			if change := targets[at].Change; scaled != (change != nil && change.Scale != 1) || scaled && change.Scale != scale {
				t.Errorf("%s feeds %s with %+v, the scale is %v", native, name, change, scale)
			}
		}
	}
	if listed != len(catalog.RuntimeNewer) {
		t.Errorf("%d of the catalog's %d newer metrics are GPUStack's", listed, len(catalog.RuntimeNewer))
	}
}
