package runtimes

import (
	"slices"

	"github.com/stackscope/stackscope/internal/fleet"
)

// routerRules are how routers are recognised that pass requests to the engines of one model. Such a router is an instance with role
// router and the runtime of its engines, as in GPUStack. The rules come before those of engines: one command begins like an engine's.
//
// Sources: vllm-project/router src/main.rs, sgl-project/sglang sgl-model-gateway/src/main.rs and bindings/python, both with
// --prometheus-port 29000 by default; TensorRT-LLM tensorrt_llm/commands/serve.py.
func routerRules() []fleet.DetectionRule {
	upstreams := []string{"--worker-urls", "--prefill", "--decode", "--prefill-urls", "--decode-urls"}
	// Production-stack's router has the same program and none of these flags.
	needs := append([]string{"--pd-disaggregation", "--vllm-pd-disaggregation", "--service-discovery", "--prometheus-port"}, upstreams...)
	const exporterPort = 29000
	return []fleet.DetectionRule{
		{
			Runtime: "vLLM", Role: fleet.RoleRouter,
			Commands: []string{"vllm-router"}, Needs: append([]string{"--pd-disaggregation", "--vllm-pd-disaggregation"}, upstreams...),
			Images: []string{"vllm/vllm-router"},
			Port:   exporterPort, PortFlags: []string{"--prometheus-port"}, UpstreamFlags: upstreams,
		},
		{
			Runtime: "SGLang", Role: fleet.RoleRouter,
			Commands: []string{"sglang_router.launch_router", "sglang_router.launch_server", "sglang_router", "sglang-router", "sgl-router", "sgl-model-gateway", "smg", "amg"},
			Needs:    needs,
			Images:   []string{"lmsysorg/sgl-model-gateway", "lmsysorg/sgl-router"},
			Port:     exporterPort, PortFlags: []string{"--prometheus-port", "--router-prometheus-port"}, UpstreamFlags: append(slices.Clip(upstreams), "--router-prefill", "--router-decode"),
		},
		{
			Runtime: "trtllm-serve", Role: fleet.RoleRouter,
			Commands: []string{"trtllm-serve disaggregated"},
			Port:     8000, Path: "/prometheus/metrics",
		},
	}
}
