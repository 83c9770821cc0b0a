package mapping

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVanishing(t *testing.T) {
	const before = `
gpustack_metrics:
  running: {type: gauge}
  tokens: {type: counter}
  seconds: {type: histogram}
  unfed: {type: gauge}
runtime_mapping:
  vLLM:
    "<0.9": {v_old: tokens}
    "*": {v_running: running, v_seconds: seconds, v_more: running}
  SGLang: {"*": {s_running: running, s_tokens: {to: tokens, since: "1"}}}
`
	tests := []struct {
		name, after string
		want        []VanishingMetric
	}{
		{"nothing", before, nil},
		{"another order, spelling and native metric", `
gpustack_metrics: {seconds: {type: histogram}, tokens_total: {type: counter}, running: {type: gauge}}
runtime_mapping:
  sglang: {"*": {s_running: running, s_tokens: tokens}}
  vllm: {"*": {x_running: [running, tokens], v_seconds: seconds}}
`, nil},
		{"a metric, a runtime", `
gpustack_metrics: {running: {type: gauge}, tokens: {type: counter}}
runtime_mapping: {vLLM: {">9": {v: [running, tokens]}}}
`, []VanishingMetric{{"running", []string{"SGLang"}}, {"tokens_total", []string{"SGLang"}}, {"seconds", []string{"vLLM"}}}},
		{"other types", `
gpustack_metrics: {running: {type: counter}, tokens: {type: gauge}, seconds: {type: gauge}, unfed: {type: gauge}}
runtime_mapping:
  vLLM: {"*": {v: [running, tokens, seconds]}}
  SGLang: {"*": {s: [running, tokens]}}
`, []VanishingMetric{{"running", []string{"vLLM", "SGLang"}}, {"tokens_total", []string{"vLLM", "SGLang"}}, {"seconds", []string{"vLLM"}}}},
		{"all", `{"gpustack_metrics": {}, "runtime_mapping": {}}`, []VanishingMetric{
			{"running", []string{"vLLM", "SGLang"}}, {"tokens_total", []string{"vLLM", "SGLang"}}, {"seconds", []string{"vLLM"}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Vanishing(mustCompile(t, before), mustCompile(t, tt.after))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if Vanishing(nil, mustCompile(t, before)) != nil || Vanishing(mustCompile(t, before), nil) != nil {
		t.Error("something vanishes of no mapping")
	}
}
