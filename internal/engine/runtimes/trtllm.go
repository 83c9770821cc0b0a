package runtimes

import (
	"net/http"

	"github.com/stackscope/stackscope/internal/fleet"
)

// trtllm is trtllm-serve, TensorRT-LLM's own server. Its /metrics is JSON; the page for Prometheus is elsewhere. All its counters are
// taken to move when a request ends.
func trtllm() Runtime {
	return Runtime{
		Name:            "trtllm-serve",
		prefixes:        []string{"trtllm_", "trtllm:"},
		restartCounters: []string{"trtllm_request_success_total", "trtllm_generation_tokens_total"},
		version:         stringAt("version", "/version"),
		hint:            hintAt(http.StatusNotFound, "trtllm-serve serves metrics at path=/prometheus/metrics, and only with return_perf_metrics: true in its options"),
		noMetricsHint:   "trtllm-serve serves metrics at path=/prometheus/metrics, and only with return_perf_metrics: true in its options",
		// Python's client library shows a metric with labels from its first value on.
		beginsWithRequests: true,
		rule: fleet.DetectionRule{
			Commands: []string{"trtllm-serve serve", "trtllm-serve"},
			Images:   []string{"nvidia/tensorrt-llm"},
			Port:     8000, Path: "/prometheus/metrics", PortFlags: []string{"--port"},
			NameFlags: []string{"--served_model_name"}, Positional: true,
			RoleFlags: []string{"--server-role"}, Roles: map[string]fleet.Role{"context": fleet.RolePrefill, "generation": fleet.RoleDecode},
		},
		requestCounters: each("trtllm_generation_tokens_total", "trtllm_prompt_tokens_total", "trtllm_request_success_total"),
		requestGauges:   each("trtllm_num_requests_running", "trtllm_num_requests_waiting"),
	}
}
