package runtimes

import "github.com/stackscope/stackscope/internal/fleet"

// lmdeploy is LMDeploy. There is no way to ask for the version.
func lmdeploy() Runtime {
	return Runtime{
		Name:            "LMDeploy",
		prefixes:        []string{"lmdeploy:"},
		restartCounters: []string{"lmdeploy:prompt_tokens_total", "lmdeploy:generation_tokens_total"},
		noMetricsHint:   "LMDeploy up to 0.10 has metrics only with --enable-metrics, later versions only without --disable-metrics",
		rule: fleet.DetectionRule{
			Commands: []string{"lmdeploy serve api_server"},
			Images:   []string{"openmmlab/lmdeploy"},
			Port:     23333, PortFlags: []string{"--server-port"},
			NameFlags: []string{"--model-name"}, Positional: true, RoleFlags: []string{"--role"},
			// Until 0.10 it needs --enable-metrics, since 0.11 this switches them off.
			Off: []string{"--disable-metrics"},
		},
		stepCounters:  each("lmdeploy:generation_tokens_total", "lmdeploy:prompt_tokens_total"),
		requestGauges: each("lmdeploy:num_requests_running", "lmdeploy:num_requests_waiting"),
	}
}
