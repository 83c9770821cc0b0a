package engine

import "context"

// vllm is vLLM, also as Ray Serve re-exports it (newer Ray turns the colon into an underscore).
func vllm() Runtime {
	return Runtime{
		Name:     "vLLM",
		prefixes: []string{"vllm:", "ray_vllm:", "ray_vllm_"},
		witness:  []string{"vllm:prompt_tokens_total", "vllm:generation_tokens_total"},
		version: func(ctx context.Context, p prober) (string, error) {
			return p.version(ctx, "/version")
		},
		hint: noHint,
	}
}
