package runtimes

import (
	"github.com/stackscope/stackscope/internal/fleet"
)

// nim is NVIDIA NIM for language models, release 1. Its metrics have no prefix, and MindIE has most of them, but not these two. A NIM
// whose page has the metrics of the engine that it runs is taken for that engine.
func nim() Runtime {
	return Runtime{
		Name:            "NIM",
		prefixes:        []string{"num_request_max", "gpu_cache_usage_perc"},
		restartCounters: []string{"prompt_tokens_total", "generation_tokens_total"},
		version:         stringAt("release", "/v1/version").trimPath("/v1"),
		model:           probe(listedModel).trimPath("/v1"),
		rule: fleet.DetectionRule{
			Commands: []string{"vllm_nvext.entrypoints.openai.api_server"},
			Images:   []string{"/nim/"},
			Port:     8000, Path: "/v1/metrics", PortFlags: []string{"--port"}, PortEnv: []string{"NIM_SERVER_PORT"},
			NameFlags: []string{"--served-model-name"},
		},
		stepCounters:  each("generation_tokens_total", "prompt_tokens_total", "time_per_output_token_seconds_count"),
		requestGauges: each("num_requests_running", "num_requests_waiting"),
	}
}
