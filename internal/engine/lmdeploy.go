package engine

import "github.com/stackscope/stackscope/internal/fleet"

// lmdeploy is LMDeploy. It tells its version nowhere.
func lmdeploy() Runtime {
	return Runtime{
		Name:     "LMDeploy",
		prefixes: []string{"lmdeploy:"},
		witness:  []string{"lmdeploy:prompt_tokens_total", "lmdeploy:generation_tokens_total"},
		hint:     noHint,
		sign: fleet.DetectionRule{
			Commands: []string{"lmdeploy serve api_server"},
			Images:   []string{"openmmlab/lmdeploy"},
			Port:     23333, PortFlags: []string{"--server-port"},
			NameFlags: []string{"--model-name"}, Positional: true,
			// Until 0.10 it needs --enable-metrics, since 0.11 this switches them off.
			Off: []string{"--disable-metrics"},
		},
		steps: each("lmdeploy:generation_tokens_total", "lmdeploy:prompt_tokens_total"),
		load:  each("lmdeploy:num_requests_running", "lmdeploy:num_requests_waiting"),
	}
}
