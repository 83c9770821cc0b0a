package runtimes

import (
	"context"

	"github.com/stackscope/stackscope/internal/fleet"
)

// productionStack is the router of vLLM's production-stack, a gateway. Its families begin as vLLM's do, and some have the very
// names; routerFamily is its alone and is announced on each of its pages, before the first request too. Its program has the name of
// another router of vLLM's, whose page is a different one, so that only its module and image tell.
func productionStack() Runtime {
	return Runtime{
		Name:            "production-stack",
		Gateway:         true,
		prefixes:        []string{routerFamily},
		restartCounters: []string{"vllm:num_incoming_requests_total", "vllm:request_latency_seconds_count"},
		version: func(ctx context.Context, p Prober) (string, error) {
			return p.version(ctx, "/version")
		},
		model: noModel,
		rule: fleet.DetectionRule{
			Commands: []string{"vllm_router.app"},
			Images:   []string{"lmcache/lmstack-router"},
			Port:     8001, PortFlags: []string{"--port"},
		},
	}
}

const routerFamily = "vllm:current_qps"
