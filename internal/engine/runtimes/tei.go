package runtimes

import (
	"context"

	"github.com/stackscope/stackscope/internal/fleet"
)

// tei is Hugging Face's Text Embeddings Inference. A request of its kind is one step, so that its counters of ended
// requests are as good as those of tokens.
func tei() Runtime {
	return Runtime{
		Name:            "TEI",
		prefixes:        []string{"te_request_", "te_embed_", "te_predict_", "te_queue_size", "te_batch_next_"},
		restartCounters: []string{"te_request_count", "te_request_success"},
		version: func(ctx context.Context, p Prober) (string, error) {
			return p.infoString(ctx, "TEI", "version")
		},
		model: func(ctx context.Context, p Prober) (string, error) {
			served, err := p.infoString(ctx, "TEI", "served_model_name")
			if err == nil {
				return served, nil
			}
			return p.infoString(ctx, "TEI", "model_id") // older ones have no other name
		},
		ownsInfo: func(members map[string]bool) bool { return members["tokenization_workers"] },
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
