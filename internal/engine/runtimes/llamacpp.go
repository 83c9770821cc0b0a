package runtimes

import (
	"net/http"

	"github.com/stackscope/stackscope/internal/fleet"
)

// llamacpp is llama.cpp's server. It writes numbers with six digits, so a large counter stands still and then jumps. A pause lasts
// about 1e-5 of the time that the counter has run: two minutes for n_decode_total after months of work.
func llamacpp() Runtime {
	return Runtime{
		Name:            "llama.cpp",
		prefixes:        []string{"llamacpp:"},
		restartCounters: []string{"llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total"},
		version:         stringAt("build_info", "/props"),
		hint:            hintAt(http.StatusNotImplemented, "llama-server serves metrics only when it is started with --metrics"),
		noMetricsHint:   "start llama-server with --metrics",
		rule: fleet.DetectionRule{
			Commands: []string{"llama-server"},
			Images:   []string{"ggml-org/llama.cpp:server", "ggerganov/llama.cpp:server"},
			Port:     8080, PortFlags: []string{"--port"}, PortEnv: []string{"LLAMA_ARG_PORT"},
			NameFlags: []string{"--alias", "-a"}, ModelFlags: []string{"--model", "-m", "--hf-repo", "-hf"},
		},
		stepCounters:    each("llamacpp:n_decode_total"),
		requestCounters: each("llamacpp:tokens_predicted_total", "llamacpp:prompt_tokens_total"),
		requestGauges:   each("llamacpp:requests_processing", "llamacpp:requests_deferred"),
	}
}
