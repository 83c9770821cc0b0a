package runtimes

import (
	"strings"

	"github.com/stackscope/stackscope/internal/fleet"
)

// vllm is vLLM, also as re-exported by Ray Serve. Newer versions of Ray replace the colon in the names by an underscore.
//
// Only counters of tokens count as progress: request_success also counts requests that clients cancelled, and a hung engine has many of
// those. While a long prompt is computed in chunks, neither token counter moves before the first token.
func vllm() Runtime {
	return Runtime{
		Name:            "vLLM",
		prefixes:        []string{"vllm:", "ray_vllm:", "ray_vllm_"},
		exclude:         routerMetric,
		restartCounters: []string{"vllm:prompt_tokens_total", "vllm:generation_tokens_total"},
		version:         stringAt("version", "/version"),
		noMetricsHint:   "vLLM has metrics only without --disable-log-stats; with several API servers, a PROMETHEUS_MULTIPROC_DIR of your own must be writable, and empty at the start",
		rule: fleet.DetectionRule{
			Commands: []string{"vllm serve", "vllm.entrypoints.openai.api_server"},
			Images:   []string{"vllm/vllm-openai", "vllm-ascend", "rocm/vllm"},
			Port:     8000, PortFlags: []string{"--port"},
			NameFlags: []string{"--served-model-name"}, ModelFlags: []string{"--model"}, AdapterFlags: []string{"--lora-modules"}, Positional: true,
			// A headless one computes for an API server that runs elsewhere.
			Off: []string{"--disable-log-stats", "--headless"},
			// Ranks with a page each: one without requests computes dummy batches as long as another has some.
			Lockstep:      []string{"--data-parallel-rank", "-dpn", "--data-parallel-external-lb", "-dpe", "--data-parallel-hybrid-lb", "-dph"},
			TransferFlags: []string{"--kv-transfer-config"}, ModelScopeEnv: []string{"VLLM_USE_MODELSCOPE"},
		},
		stepCounters:  []quantity{vllmMetric("generation_tokens_total"), vllmMetric("prompt_tokens_total")},
		requestGauges: []quantity{vllmMetric("num_requests_running"), vllmMetric("num_requests_waiting")},
	}
}

// vllmMetric is a metric by vLLM's name or by one of Ray's.
func vllmMetric(name string) quantity { return orRays("vllm", name) }

// orRays is a metric by its own name or by one of Ray's: older versions keep the colon, newer ones write counters as gauges, without
// _total.
func orRays(prefix, name string) quantity {
	q := firstOf(prefix+":"+name, "ray_"+prefix+":"+name, "ray_"+prefix+"_"+name)
	if bare, ok := strings.CutSuffix(name, "_total"); ok {
		q = append(q, firstOf("ray_"+prefix+"_"+bare, "ray_"+prefix+":"+bare)...)
	}
	return q
}
