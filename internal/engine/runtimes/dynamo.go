package runtimes

import "github.com/stackscope/stackscope/internal/fleet"

// dynamo is the frontend of NVIDIA Dynamo. The pages of its workers are those of the engines that they run, and the images of the
// workers begin like the frontend's, so the rule names the frontend's own image.
func dynamo() Runtime {
	return Runtime{
		Name:            "Dynamo",
		Frontend:        true,
		prefixes:        []string{"dynamo_frontend_"},
		restartCounters: []string{"dynamo_frontend_requests_total"},
		// Rust's libraries show a metric from its first value on.
		beginsWithRequests: true,
		rule: fleet.DetectionRule{
			Commands: []string{"dynamo.frontend"},
			Images:   []string{"ai-dynamo/dynamo-frontend"},
			Port:     8000, PortFlags: []string{"--http-port"}, PortEnv: []string{"DYN_HTTP_PORT"},
			NameFlags: []string{"--model-name"},
		},
		stepCounters:    each("dynamo_frontend_output_tokens_total", "dynamo_frontend_inter_token_latency_seconds_count"),
		requestCounters: each("dynamo_frontend_output_sequence_tokens_sum", "dynamo_frontend_time_to_first_token_seconds_count"),
		// Both count a request from its arrival to its end, queued or not; the second is the older name.
		requestGauges: []quantity{firstOf("dynamo_frontend_active_requests", "dynamo_frontend_inflight_requests")},
	}
}
