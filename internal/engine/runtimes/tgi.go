package runtimes

import (
	"github.com/stackscope/stackscope/internal/fleet"
)

// tgi is Hugging Face's Text Generation Inference and its fork LoRAX. Request counters move when a request ends. Batch counters move
// with each step; only TGI's own backend has them.
func tgi() Runtime {
	return Runtime{
		Name:            "TGI",
		prefixes:        []string{"tgi_", "lorax_"},
		restartCounters: []string{"tgi_request_count", "tgi_request_success", "lorax_request_count", "lorax_request_success"},
		version:         infoString("TGI", "version"),
		model:           infoString("TGI", "model_id"),
		ownsInfo:        func(members map[string]bool) bool { return members["model_pipeline_tag"] && !members["models"] },
		// Rust's libraries show a metric from its first value on.
		beginsWithRequests: true,
		rule: fleet.DetectionRule{
			Commands: []string{"text-generation-launcher", "text-generation-router", "lorax-launcher", "lorax-router"},
			Images:   []string{"text-generation-inference", "predibase/lorax"},
			Port:     3000, PortFlags: []string{"--port", "-p"}, PortEnv: []string{"PORT"},
			ModelFlags: []string{"--model-id", "--tokenizer-name"},
		},
		stepCounters:    []quantity{tgiMetric("batch_inference_success")},
		requestCounters: []quantity{tgiMetric("request_success"), tgiMetric("request_generated_tokens_sum")},
		requestGauges:   []quantity{tgiMetric("batch_current_size"), tgiMetric("queue_size")},
	}
}

// tgiMetric is a metric by TGI's name or by LoRAX's.
func tgiMetric(name string) quantity {
	return firstOf("tgi_"+name, "lorax_"+name)
}
