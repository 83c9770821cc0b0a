package dashboards

import (
	"slices"

	"github.com/stackscope/stackscope/internal/catalog"
)

// coming are metrics that the dashboards ask for and that the catalog may not have yet.
func coming() []catalog.Metric {
	known := map[string]bool{}
	for _, m := range slices.Concat(catalog.Runtime, catalog.RuntimeExtra, catalog.Instance, catalog.WorkerOwn, catalog.Server) {
		known[m.Name] = true
	}
	var all []catalog.Metric
	add := func(kind catalog.Type, labels []string, names ...string) {
		for _, n := range names {
			if !known[catalog.Prefix+n] {
				all = append(all, catalog.Metric{Name: catalog.Prefix + n, Type: kind, Labels: labels})
			}
		}
	}
	model := []string{catalog.LabelClusterID, catalog.LabelClusterName, catalog.LabelModelID, catalog.LabelModelName}
	role := append(slices.Clone(model), catalog.LabelRole)
	add(catalog.Gauge, role, "model_role_desired_instances", "model_role_ready_instances")
	add(catalog.Gauge, append(slices.Clone(model), "mode", "kv_counted_role"), "pd_mode_info")
	add(catalog.Gauge, append(slices.Clone(model), "cache_service_id", "cache_service_name"), "cache_service_attached_model")
	instance := append(slices.Clone(role), catalog.LabelWorkerID, catalog.LabelWorkerName, catalog.LabelModelInstanceID, catalog.LabelModelInstanceName, catalog.LabelRuntime)
	with := func(labels ...string) []string { return slices.Concat(instance, labels) }
	add(catalog.Gauge, instance, "data_parallel_imbalance_ratio", "spec_decode_accept_length", "pd_prefill_bootstrap_queue_requests", "pd_prefill_inflight_queue_requests",
		"pd_decode_prealloc_queue_requests", "pd_decode_transfer_queue_requests", "pd_decode_pending_prealloc_token_usage")
	add(catalog.Gauge, with("reason"), "num_requests_waiting_by_reason")
	add(catalog.Counter, instance, "external_prefix_cache_queries", "external_prefix_cache_hits", "spec_decode_drafts", "estimated_flops_per_gpu", "estimated_read_bytes_per_gpu",
		"estimated_write_bytes_per_gpu", "pd_kv_transfer_failed", "pd_kv_notification_failed", "pd_kv_lease_expired", "pd_bootstrap_failed", "pd_prefill_retries")
	add(catalog.Counter, with("source"), "pd_prompt_tokens_by_source")
	add(catalog.Histogram, instance, "pd_kv_transfer_bytes", "pd_kv_transfer_seconds", "pd_kv_transfer_latency_seconds", "pd_kv_transfer_alloc_seconds", "pd_kv_transfer_post_seconds", "pd_kv_transfer_descriptors",
		"pd_router_request_duration_seconds")
	add(catalog.Counter, with("worker", "route"), "pd_router_requests", "pd_router_prefill_requests", "pd_router_decode_requests", "pd_router_decode_errors", "pd_router_prefill_errors")
	add(catalog.Counter, with("worker_type"), "pd_router_worker_selections")
	add(catalog.Gauge, with("worker"), "pd_router_worker_requests_active", "pd_router_worker_health")
	return all
}
