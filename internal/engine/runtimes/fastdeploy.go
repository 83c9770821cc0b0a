package runtimes

import "github.com/stackscope/stackscope/internal/fleet"

// fastdeploy is PaddlePaddle's FastDeploy, after its documentation, which names no way to ask for the version.
func fastdeploy() Runtime {
	return Runtime{
		Name:            "FastDeploy",
		prefixes:        []string{"fastdeploy:"},
		restartCounters: []string{"fastdeploy:prompt_tokens_total", "fastdeploy:generation_tokens_total"},
		rule: fleet.DetectionRule{
			Commands: []string{"fastdeploy serve", "fastdeploy.entrypoints.openai.api_server"},
			Images:   []string{"paddlepaddle/fastdeploy-"},
			Port:     8000, PortFlags: []string{"--metrics-port", "--port"},
			NameFlags: []string{"--served-model-name"}, ModelFlags: []string{"--model"}, RoleFlags: []string{"--splitwise-role"},
		},
		requestCounters: each("fastdeploy:generation_tokens_total", "fastdeploy:prompt_tokens_total", "fastdeploy:request_success_total"),
		requestGauges:   each("fastdeploy:num_requests_running", "fastdeploy:num_requests_waiting"),
	}
}
