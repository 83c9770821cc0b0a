package runtimes

import (
	"context"

	"github.com/stackscope/stackscope/internal/fleet"
)

// vllm is vLLM, also as Ray Serve re-exports it (newer Ray turns the colon into an underscore).
//
// Of its counters only those of tokens count as progress: request_success counts requests that clients gave up too, which
// a wedged engine has in plenty. While a long prompt is read in chunks neither counter moves until its first token.
func vllm() Runtime {
	return Runtime{
		Name:            "vLLM",
		prefixes:        []string{"vllm:", "ray_vllm:", "ray_vllm_"},
		exclude:         routerFamily,
		restartCounters: []string{"vllm:prompt_tokens_total", "vllm:generation_tokens_total"},
		version: func(ctx context.Context, p Prober) (string, error) {
			return p.version(ctx, "/version")
		},
		rule: fleet.DetectionRule{
			Commands: []string{"vllm serve", "vllm.entrypoints.openai.api_server"},
			Images:   []string{"vllm/vllm-openai", "vllm-ascend", "rocm/vllm"},
			Port:     8000, PortFlags: []string{"--port"},
			NameFlags: []string{"--served-model-name"}, ModelFlags: []string{"--model"}, Positional: true,
			// A headless one computes for an API server that runs elsewhere.
			Off: []string{"--disable-log-stats", "--headless"},
			// Ranks with a page each: one without requests computes dummy batches as long as another has some.
			Lockstep: []string{"--data-parallel-rank", "-dpn", "--data-parallel-external-lb", "-dpe", "--data-parallel-hybrid-lb", "-dph"},
		},
		stepCounters:  []quantity{vllmFamily("generation_tokens_total"), vllmFamily("prompt_tokens_total")},
		requestGauges: []quantity{vllmFamily("num_requests_running"), vllmFamily("num_requests_waiting")},
	}
}

// vllmFamily is a family of vLLM's own page or of one of Ray's.
func vllmFamily(name string) quantity {
	return firstOf("vllm:"+name, "ray_vllm:"+name, "ray_vllm_"+name)
}
