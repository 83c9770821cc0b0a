package engine

import (
	"context"

	"github.com/stackscope/stackscope/internal/fleet"
)

// tgi is Hugging Face's Text Generation Inference. Its families of requests move when a request ends, those of batches,
// which only its own backend has, with each step.
func tgi() Runtime {
	return Runtime{
		Name:     "TGI",
		prefixes: []string{"tgi_"},
		witness:  []string{"tgi_request_count", "tgi_request_success"},
		version: func(ctx context.Context, p prober) (string, error) {
			return p.infoString(ctx, "TGI", "version")
		},
		model: func(ctx context.Context, p prober) (string, error) {
			return p.infoString(ctx, "TGI", "model_id")
		},
		info: func(members map[string]bool) bool { return members["model_pipeline_tag"] && !members["models"] },
		hint: noHint,
		sign: fleet.Sign{
			Commands: []string{"text-generation-launcher", "text-generation-router"},
			Images:   []string{"text-generation-inference"},
			Port:     3000, PortFlags: []string{"--port", "-p"}, PortEnv: []string{"PORT"},
			ModelFlags: []string{"--model-id", "--tokenizer-name"},
		},
		steps: each("tgi_batch_inference_success"),
		ends:  each("tgi_request_success", "tgi_request_generated_tokens_sum"),
		load:  each("tgi_batch_current_size", "tgi_queue_size"),
	}
}
