package engine

import (
	"context"
	"net/http"
)

// mindie is Huawei's MindIE. Its families have no prefix; NIM has the same ones but for this.
func mindie() Runtime {
	return Runtime{
		Name:     "MindIE",
		prefixes: []string{"npu_cache_usage_perc"},
		witness:  []string{"prompt_tokens_total", "generation_tokens_total"},
		version: func(ctx context.Context, p prober) (string, error) {
			return p.version(ctx, "/info")
		},
		hint: func(status int) string {
			if status == http.StatusInternalServerError {
				return "MindIE serves metrics only with MIES_SERVICE_MONITOR_MODE=1 in its environment"
			}
			return ""
		},
	}
}
