package runtimes

import (
	"slices"

	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	tritonHTTPPort    = "8000"
	tritonMetricsPort = "8002"
)

// triton is the Triton inference server. One with vLLM's backend has vLLM's metrics and is taken for vLLM.
//
// The gauges of its TensorRT-LLM backend keep their last value when there is no work left, so they don't tell whether there is
// some. The gauge of pending requests does.
func triton() Runtime {
	return Runtime{
		Name:            "Triton",
		prefixes:        []string{"nv_inference_", "nv_trt_llm_"},
		restartCounters: []string{"nv_inference_request_success", "nv_inference_count"},
		version:         stringAt("version", "/v2").onPort(tritonMetricsPort, tritonHTTPPort),
		// It may serve any number of models, parts of one another among them: none of them names it.
		model:         notTold,
		parts:         tritonParts,
		noMetricsHint: "Triton has metrics of inference once a model is loaded, and only without --allow-metrics=false",
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

// tritonParts returns the whole of each part of a pipeline, by the names of the TensorRT-LLM backend's model repository; "" for a part
// whose whole has another name. The mapping tells them apart by the same names.
func tritonParts(models []string) map[string]string {
	const bls = "tensorrt_llm_bls"
	parts := []string{"preprocessing", "postprocessing", "tensorrt_llm"}
	whole := ""
	switch {
	case slices.Contains(models, "ensemble"):
		whole = "ensemble"
		parts = append(parts, bls)
	case slices.Contains(models, bls):
		whole = bls
	case !slices.ContainsFunc(models, func(m string) bool { return !slices.Contains(parts, m) }):
		return nil // there is nothing else
	}
	found := map[string]string{}
	for _, m := range models {
		if slices.Contains(parts, m) {
			found[m] = whole
		}
	}
	return found
}
