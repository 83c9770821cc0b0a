package runtimes

import (
	"github.com/stackscope/stackscope/internal/fleet"
)

// productionStack is the router of vLLM's production-stack, a gateway. Its metrics have vLLM's prefix and some have vLLM's names; only
// the router has routerMetric, which is on each of its pages, also before the first request. Its program has the same name as
// another router of vLLM's with another page, so the rule names its module and image.
func productionStack() Runtime {
	return Runtime{
		Name:            "production-stack",
		Gateway:         true,
		prefixes:        []string{routerMetric},
		restartCounters: []string{"vllm:num_incoming_requests_total", "vllm:request_latency_seconds_count"},
		version:         stringAt("version", "/version"),
		model:           notTold,
		rule: fleet.DetectionRule{
			Commands: []string{"vllm_router.app"},
			Images:   []string{"lmcache/lmstack-router"},
			Port:     8001, PortFlags: []string{"--port"},
		},
	}
}

const routerMetric = "vllm:current_qps"
