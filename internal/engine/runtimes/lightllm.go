package runtimes

import "github.com/stackscope/stackscope/internal/fleet"

// lightllm is LightLLM. Its metrics are named like TGI's, and all of its request metrics move when a request ends. There is no known
// way to ask for the version.
func lightllm() Runtime {
	return Runtime{
		Name:            "LightLLM",
		prefixes:        []string{"lightllm_"},
		restartCounters: []string{"lightllm_request_count_total", "lightllm_request_success_total"},
		rule: fleet.DetectionRule{
			Commands: []string{"lightllm.server.api_server"},
			Images:   []string{"modeltc/lightllm"},
			Port:     8000, PortFlags: []string{"--port"},
			NameFlags: []string{"--model_name"}, ModelFlags: []string{"--model_dir"}, RoleFlags: []string{"--run-mode"},
			Roles: map[string]fleet.Role{
				"prefill": fleet.RolePrefill, "nixl_prefill": fleet.RolePrefill, "decode": fleet.RoleDecode, "nixl_decode": fleet.RoleDecode, "pd_master": fleet.RoleRouter,
			},
		},
		requestCounters: append([]quantity{firstOf("lightllm_request_success_total", "lightllm_request_success")}, each("lightllm_request_generated_tokens_sum")...),
		requestGauges:   each("lightllm_batch_current_size", "lightllm_queue_size"),
	}
}
