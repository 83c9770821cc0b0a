package runtimes

import (
	"github.com/stackscope/stackscope/internal/fleet"
)

// tei is Hugging Face's Text Embeddings Inference. A request is one step, so its counters of ended requests tell as much as counters
// of tokens.
func tei() Runtime {
	return Runtime{
		Name:            "TEI",
		prefixes:        []string{"te_request_", "te_embed_", "te_predict_", "te_queue_size", "te_batch_next_"},
		restartCounters: []string{"te_request_count", "te_request_success"},
		version:         infoString("TEI", "version"),
		model:           infoString("TEI", "served_model_name").or(infoString("TEI", "model_id")), // older ones have the latter alone
		ownsInfo:        func(members map[string]bool) bool { return members["tokenization_workers"] },
		// Rust's libraries show a metric from its first value on.
		beginsWithRequests: true,
		rule: fleet.DetectionRule{
			Commands: []string{"text-embeddings-router"},
			Images:   []string{"text-embeddings-inference"},
			Port:     3000, PortFlags: []string{"--port", "-p"}, PortEnv: []string{"PORT"},
			NameFlags: []string{"--served-model-name"}, ModelFlags: []string{"--model-id"},
		},
		stepCounters:  each("te_request_success", "te_embed_success", "te_predict_success"),
		requestGauges: each("te_queue_size"),
	}
}
