package runtimes

import (
	"net/http"

	"github.com/stackscope/stackscope/internal/fleet"
)

// litellm is LiteLLM's proxy, a gateway. Its /metrics redirects to /metrics/.
func litellm() Runtime {
	return Runtime{
		Name:            "LiteLLM",
		Gateway:         true,
		prefixes:        []string{"litellm_proxy_", "litellm_requests_metric", "litellm_input_tokens_metric", "litellm_in_flight_requests"},
		restartCounters: []string{"litellm_proxy_total_requests_metric_total", "litellm_input_tokens_metric_total"},
		version:         stringAt("litellm_version", "/health/readiness"),
		model:           notTold,
		hint:            hintAt(http.StatusNotFound, "LiteLLM serves metrics only with prometheus among the callbacks of litellm_settings"),
		noMetricsHint:   "LiteLLM serves metrics only with prometheus among the callbacks of litellm_settings",
		rule: fleet.DetectionRule{
			Commands: []string{"litellm", "litellm.proxy.proxy_cli"},
			Images:   []string{"berriai/litellm"},
			Port:     4000, Path: "/metrics/", PortFlags: []string{"--port"}, PortEnv: []string{"PORT"},
		},
	}
}
