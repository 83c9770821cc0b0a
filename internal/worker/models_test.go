package worker

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/wire"
)

// localJSON maps a page like LocalAI's, of an engine that the built-in mapping does not know.
const localJSON = `{"gpustack_metrics":{"gpustack:generation_tokens":{"type":"counter","description":"Tokens."}},
	"runtime_mapping":{"LocalAI":{"*":{"localai_tokens":{"to":"gpustack:generation_tokens","match":{"kind":["completion"]},"drop":["kind"]}}}}}`

// TestSeveralModelsOnAPage follows pages of several models from the first scrape on: what is exported, under unified and under native
// names, and what is reported.
func TestSeveralModelsOnAPage(t *testing.T) {
	for _, c := range []struct {
		name, declaration, page string
		mapping                 string // instead of the built-in one
		metric                  string
		want                    []string // its samples, without the worker's labels
		raw                     string
	}{
		{
			name: "SGLang on Ray, with ranks",
			page: `ray_sglang_num_running_reqs{ReplicaId="r1",model_name="a",tp_rank="0"} 3
ray_sglang_num_running_reqs{ReplicaId="r1",model_name="a",tp_rank="1"} 3
ray_sglang_num_running_reqs{ReplicaId="r2",model_name="a",tp_rank="0"} 4
ray_sglang_num_running_reqs{ReplicaId="r3",model_name="b",tp_rank="0"} 5
`,
			metric: "gpustack:num_requests_running",
			want: []string{
				`model_name="a",model_instance_name="e-a",runtime="SGLang",ReplicaId="r1",tp_rank="0"} 3`,
				`model_name="a",model_instance_name="e-a",runtime="SGLang",ReplicaId="r2",tp_rank="0"} 4`,
				`model_name="b",model_instance_name="e-b",runtime="SGLang",ReplicaId="r3",tp_rank="0"} 5`,
			},
			raw: `ray_sglang_num_running_reqs{cluster_name="default",worker_name="node-1",model_name="b",model_instance_name="e-b",runtime="SGLang",ReplicaId="r3",tp_rank="0"} 5`,
		},
		{
			name: "Dynamo's frontend",
			page: `dynamo_frontend_output_tokens_total{model="a"} 10
dynamo_frontend_output_tokens_total{model="b"} 20
dynamo_frontend_queued_requests{model="a"} 1
`,
			metric: "gpustack:generation_tokens_total",
			want: []string{
				`model_name="a",model_instance_name="e-a",runtime="Dynamo",model="a"} 10`,
				`model_name="b",model_instance_name="e-b",runtime="Dynamo",model="b"} 20`,
			},
			raw: `dynamo_frontend_queued_requests{cluster_name="default",worker_name="node-1",model_name="a",model_instance_name="e-a",runtime="Dynamo",model="a"} 1`,
		},
		{
			name: "Triton with two models, one of them in two versions",
			page: `nv_inference_exec_count{model="a",version="1"} 7
nv_inference_exec_count{model="b",version="1"} 8
nv_inference_request_success{model="a",version="1"} 7
nv_inference_request_success{model="b",version="1"} 8
nv_inference_request_success{model="b",version="2"} 9
`,
			metric: "gpustack:request_success_total",
			want: []string{
				`model_name="a",model_instance_name="e-a",runtime="Triton",model="a",version="1"} 7`,
				`model_name="b",model_instance_name="e-b",runtime="Triton",model="b",version="1"} 8`,
				`model_name="b",model_instance_name="e-b",runtime="Triton",model="b",version="2"} 9`,
			},
			raw: `nv_inference_exec_count{cluster_name="default",worker_name="node-1",model_name="a",model_instance_name="e-a",runtime="Triton",model="a",version="1"} 7`,
		},
		{
			name:        "an engine of the user's own mapping, with LocalAI's label",
			declaration: "LocalAI", mapping: localJSON,
			page: `localai_tokens_total{user="u",served_model="a",kind="completion"} 10
localai_tokens_total{user="u",served_model="a",kind="prompt"} 99
localai_tokens_total{user="u",served_model="b",kind="completion"} 20
`,
			metric: "gpustack:generation_tokens_total",
			want: []string{
				`model_name="a",model_instance_name="e-a",runtime="LocalAI",user="u",served_model="a"} 10`,
				`model_name="b",model_instance_name="e-b",runtime="LocalAI",user="u",served_model="b"} 20`,
			},
			raw: `localai_tokens_total{cluster_name="default",worker_name="node-1",model_name="a",model_instance_name="e-a",runtime="LocalAI",user="u",served_model="a",kind="prompt"} 99`,
		},
		{
			name: "a model and its adapter are one model",
			page: `vllm:num_requests_running{model_name="a"} 3
vllm:num_requests_running{model_name="sql"} 4
vllm:lora_requests_info{max_lora="1",running_lora_adapters="sql",waiting_lora_adapters=""} 1.7e9
`,
			metric: "gpustack:num_requests_running",
			want: []string{
				`model_name="a",model_instance_name="e",runtime="vLLM"} 3`,
				`model_name="a",model_instance_name="e",runtime="vLLM",exported_model_name="sql"} 4`,
			},
			raw: `vllm:num_requests_running{cluster_name="default",worker_name="node-1",model_name="a",model_instance_name="e",runtime="vLLM",exported_model_name="sql"} 4`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t)
			o.Engines = []engine.Declaration{{Instance: "e", URL: fakeEngine(t, map[string]string{"/metrics": c.page}), Runtime: c.declaration}}
			w := run(t, o)
			if c.mapping != "" {
				if err := w.follower.Apply(wire.MappingEvent{Generation: 3, Document: json.RawMessage(c.mapping)}); err != nil {
					t.Fatal(err)
				}
			}
			const own = `{cluster_name="default",worker_name="node-1",`
			var want []string
			for _, line := range c.want {
				want = append(want, c.metric+own+line)
			}
			if diff := cmp.Diff(want, lines(w.scrape(t, "/metrics"), c.metric+"{")); diff != "" {
				t.Errorf("the first scrape (-want +got)\n%s", diff)
			}
			if raw := lines(w.scrape(t, "/metrics/raw"), c.raw); !slices.Equal(raw, []string{c.raw}) {
				t.Errorf("native names: got %q", raw)
			}
		})
	}
}

// TestDryRunOfSeveralModels holds that a proposed mapping is tried with the labels of each model.
func TestDryRunOfSeveralModels(t *testing.T) {
	f := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = f.URL, joinToken
	o.Engines = []engine.Declaration{{Instance: "e", URL: fakeEngine(t, map[string]string{
		"/metrics": "vllm:num_requests_running{model_name=\"a\"} 1\nvllm:num_requests_running{model_name=\"b\"} 2\n",
	})}}
	w := run(t, o)
	eventually(t, "the instances' ids", func() bool {
		page := w.scrape(t, "/metrics")
		return strings.Contains(page, `model_instance_id="40",model_instance_name="e-a"`) && strings.Contains(page, `model_instance_id="41",model_instance_name="e-b"`)
	})
	result := f.try(t, wire.DryRunEvent{ID: "one", TimeoutMillis: 8000, MaxBytes: 1 << 20, Document: json.RawMessage(mineJSON)})
	if len(result.Instances) != 1 || result.Instances[0].Name != "e" {
		t.Fatalf("%+v", result)
	}
	var got []string
	for _, s := range result.Instances[0].Series {
		if s.After != nil {
			got = append(got, s.Series+" "+*s.After)
		}
	}
	var want []string
	for i, model := range []string{"a", "b"} {
		want = append(want, fmt.Sprintf(`gpustack:mine{cluster_id="2",cluster_name="lab",worker_id="7",worker_name="node-1",model_id="5",model_name="%s",model_instance_id="%d",model_instance_name="e-%s",runtime="vLLM"} %d`,
			model, 40+i, model, i+1))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
