package runtimes

import (
	"context"
	"fmt"
	"net/http"

	"github.com/stackscope/stackscope/internal/fleet"
)

// litellm is LiteLLM's proxy, a gateway. Its page is an application mounted at /metrics, which answers to /metrics itself by
// sending the caller to /metrics/.
func litellm() Runtime {
	return Runtime{
		Name:            "LiteLLM",
		Gateway:         true,
		prefixes:        []string{"litellm_proxy_", "litellm_requests_metric", "litellm_input_tokens_metric", "litellm_in_flight_requests"},
		restartCounters: []string{"litellm_proxy_total_requests_metric_total", "litellm_input_tokens_metric_total"},
		version: func(ctx context.Context, p Prober) (string, error) {
			const path = "/health/readiness"
			version, err := p.text(ctx, path, "litellm_version")
			if len(version) > maxVersionBytes {
				return "", fmt.Errorf("GET %s: the version has %d bytes", path, len(version))
			}
			return version, err
		},
		model: noModel,
		hint:  hintAt(http.StatusNotFound, "LiteLLM serves metrics only with prometheus among the callbacks of litellm_settings"),
		rule: fleet.DetectionRule{
			Commands: []string{"litellm", "litellm.proxy.proxy_cli"},
			Images:   []string{"berriai/litellm"},
			Port:     4000, Path: "/metrics/", PortFlags: []string{"--port"}, PortEnv: []string{"PORT"},
		},
	}
}
