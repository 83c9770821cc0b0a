package runtimes

import (
	"context"

	"github.com/stackscope/stackscope/internal/fleet"
)

// nim is NVIDIA NIM for language models, release 1. Its families have no prefix and most are MindIE's too; these two are
// not. A NIM whose page has the families of the engine within is read as that engine.
func nim() Runtime {
	return Runtime{
		Name:            "NIM",
		prefixes:        []string{"num_request_max", "gpu_cache_usage_perc"},
		restartCounters: []string{"prompt_tokens_total", "generation_tokens_total"},
		version: func(ctx context.Context, p Prober) (string, error) {
			return p.without("/v1").text(ctx, "/v1/version", "release")
		},
		model: func(ctx context.Context, p Prober) (string, error) { return p.without("/v1").model(ctx) },
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
