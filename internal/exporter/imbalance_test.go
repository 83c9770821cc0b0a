package exporter

import (
	"math"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

func TestImbalance(t *testing.T) {
	compiled, err := mapping.Compile(mapping.Default())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, runtime string
		models        *Models
		want          float64
		page          string
	}{
		{"vLLM, two ranks", "vLLM", nil, 1.5, `
vllm:num_requests_running{engine="0",model_name="m"} 6
vllm:num_requests_running{engine="1",model_name="m"} 2
vllm:num_requests_waiting{engine="0",model_name="m"} 3
vllm:num_requests_waiting{engine="1",model_name="m"} 1`},
		{"even", "vLLM", nil, 1, `
vllm:num_requests_running{engine="0"} 2
vllm:num_requests_running{engine="1"} 1
vllm:num_requests_waiting{engine="1"} 1`},
		{"all on one of four", "vLLM", nil, 4, `
vllm:num_requests_running{engine="0"} 0
vllm:num_requests_running{engine="1"} 0
vllm:num_requests_running{engine="2"} 7
vllm:num_requests_running{engine="3"} 0`},
		{"one rank", "vLLM", nil, -1, "vllm:num_requests_running{engine=\"0\"} 2"},
		{"no requests", "vLLM", nil, -1, "vllm:num_requests_running{engine=\"0\"} 0\nvllm:num_requests_running{engine=\"1\"} 0"},
		{"not a number", "vLLM", nil, -1, "vllm:num_requests_running{engine=\"0\"} NaN\nvllm:num_requests_running{engine=\"1\"} 1"},
		{"no end of requests", "vLLM", nil, -1, "vllm:num_requests_running{engine=\"0\"} +Inf\nvllm:num_requests_running{engine=\"1\"} 1"},
		{"tensor-parallel ranks of SGLang repeat", "SGLang", nil, 1.6, `
sglang:num_running_reqs{model_name="m",dp_rank="0",tp_rank="0",pp_rank="0"} 4
sglang:num_running_reqs{model_name="m",dp_rank="0",tp_rank="1",pp_rank="0"} 4
sglang:num_running_reqs{model_name="m",dp_rank="1",tp_rank="2",pp_rank="0"} 1
sglang:num_running_reqs{model_name="m",dp_rank="1",tp_rank="3",pp_rank="0"} 1`},
		{"replicas of SGLang without data parallelism", "SGLang", nil, -1, `
sglang:num_running_reqs{model_name="m",tp_rank="0",pp_rank="0"} 4
sglang:num_running_reqs{model_name="m",tp_rank="1",pp_rank="0"} 4`},
		{"several models", "vLLM", &Models{}, -1, `
vllm:num_requests_running{engine="0",model_name="a"} 6
vllm:num_requests_running{engine="1",model_name="b"} 2`},
	} {
		var r translate.Result
		r.Translate([]byte(strings.TrimPrefix(test.page, "\n")+"\n"), translate.Text, compiled.Plan(test.runtime, ""), nil)
		o := outcome{result: &r, fetch: &sharedFetch{instance: Instance{Models: test.models}}}
		if got := imbalance(&o); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
