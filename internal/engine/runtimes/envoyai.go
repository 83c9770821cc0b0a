package runtimes

import (
	"github.com/stackscope/stackscope/internal/fleet"
)

// envoyAI is Envoy AI Gateway. The page is that of its external processor, not of Envoy. The metric names follow OpenTelemetry's
// conventions for generative AI servers; another gateway that follows them is taken for this one.
func envoyAI() Runtime {
	return Runtime{
		Name:            "Envoy AI Gateway",
		Gateway:         true,
		prefixes:        []string{"gen_ai_server_request_duration", "gen_ai_client_token_usage"},
		restartCounters: []string{"gen_ai_server_request_duration_seconds_count"},
		model:           notTold,
		rule: fleet.DetectionRule{
			Commands: []string{"aigw run"},
			Images:   []string{"envoyproxy/ai-gateway-cli", "envoyproxy/ai-gateway-extproc"},
			Port:     1064, PortFlags: []string{"--admin-port", "-adminPort", "--adminPort"},
		},
	}
}
