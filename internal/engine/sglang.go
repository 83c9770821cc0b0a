package engine

import (
	"context"
	"net/http"
)

// sglang is SGLang. Its server info holds the API keys of the engine beside the version and makes the scheduler work, so
// it is read once per start and nothing but the version is taken from it.
func sglang() Runtime {
	return Runtime{
		Name:     "SGLang",
		prefixes: []string{"sglang:"},
		witness:  []string{"sglang:prompt_tokens_total", "sglang:generation_tokens_total"},
		version: func(ctx context.Context, p prober) (string, error) {
			version, err := p.version(ctx, "/server_info")
			if err == nil {
				return version, nil
			}
			// Until 0.5.5 only the older path is there; it is on its way out since.
			return p.version(ctx, "/get_server_info")
		},
		hint: func(status int) string {
			if status == http.StatusNotFound {
				return "SGLang serves metrics only when it is started with --enable-metrics"
			}
			return ""
		},
	}
}
