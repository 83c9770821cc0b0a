package runtimes

import (
	"context"

	"github.com/stackscope/stackscope/internal/fleet"
)

// tgi is Hugging Face's Text Generation Inference, and LoRAX, a fork that is called otherwise. Its families of requests move when a request ends, those of batches,
// which only its own backend has, with each step.
func tgi() Runtime {
	return Runtime{
		Name:            "TGI",
		prefixes:        []string{"tgi_", "lorax_"},
		restartCounters: []string{"tgi_request_count", "tgi_request_success", "lorax_request_count", "lorax_request_success"},
		version: func(ctx context.Context, p Prober) (string, error) {
			return p.infoString(ctx, "TGI", "version")
		},
		model: func(ctx context.Context, p Prober) (string, error) {
			return p.infoString(ctx, "TGI", "model_id")
		},
		ownsInfo: func(members map[string]bool) bool { return members["model_pipeline_tag"] && !members["models"] },
		rule: fleet.DetectionRule{
			Commands: []string{"text-generation-launcher", "text-generation-router", "lorax-launcher", "lorax-router"},
			Images:   []string{"text-generation-inference", "predibase/lorax"},
			Port:     3000, PortFlags: []string{"--port", "-p"}, PortEnv: []string{"PORT"},
			ModelFlags: []string{"--model-id", "--tokenizer-name"},
		},
		stepCounters:    []quantity{tgiFamily("batch_inference_success")},
		requestCounters: []quantity{tgiFamily("request_success"), tgiFamily("request_generated_tokens_sum")},
		requestGauges:   []quantity{tgiFamily("batch_current_size"), tgiFamily("queue_size")},
	}
}

// tgiFamily is a family of TGI's page or of LoRAX's.
func tgiFamily(name string) quantity {
	return firstOf("tgi_"+name, "lorax_"+name)
}
