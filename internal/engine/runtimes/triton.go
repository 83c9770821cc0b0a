package runtimes

import (
	"context"

	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	tritonHTTPPort    = "8000"
	tritonMetricsPort = "8002"
)

// triton is the Triton inference server. One with vLLM's backend has vLLM's families and is read as vLLM.
//
// The gauges of its TensorRT-LLM backend keep their last value when there is no more work, so they don't tell whether
// there is; requests that no backend has taken yet do.
func triton() Runtime {
	return Runtime{
		Name:            "Triton",
		prefixes:        []string{"nv_inference_", "nv_trt_llm_"},
		restartCounters: []string{"nv_inference_request_success", "nv_inference_count"},
		version: func(ctx context.Context, p Prober) (string, error) {
			return p.onPort(tritonMetricsPort, tritonHTTPPort).version(ctx, "/v2")
		},
		// It may serve any number of models, parts of one another among them: none of them names it.
		model: noModel,
		rule: fleet.DetectionRule{
			Commands: []string{"tritonserver"},
			Images:   []string{"nvidia/tritonserver"},
			Port:     8002, PortFlags: []string{"--metrics-port"},
		},
		stepCounters: []quantity{
			{{name: "nv_trt_llm_general_metrics", only: []string{"general_type", "iteration_counter"}}},
			{{name: "nv_inference_exec_count"}},
		},
		requestCounters: each("nv_inference_request_success", "nv_llm_output_token_len_sum"),
		requestGauges:   each("nv_inference_pending_request_count"),
	}
}
