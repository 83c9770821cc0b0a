package runtimes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestModelsOfAPage(t *testing.T) {
	many := func(n int) (page string, names []string) {
		for i := range n {
			page += fmt.Sprintf("vllm:num_requests_running{model_name=\"m%d\"} 1\n", i)
			names = append(names, fmt.Sprintf("m%d", i))
		}
		return page, names
	}
	forty, fortyNames := many(40)
	full, fullNames := many(MaxNames + 50)
	for _, c := range []struct {
		name, runtime, page string
		want                []string
	}{
		{"one", "vLLM", "vllm:num_requests_running{model_name=\"a\"} 1\nvllm:num_requests_waiting{model_name=\"a\"} 1\n", []string{"a"}},
		{"Ray, counters without _total", "vLLM", "ray_vllm_prompt_tokens{ReplicaId=\"1\",model_name=\"a\"} 1\nray_vllm_prompt_tokens{ReplicaId=\"2\",model_name=\"a\"} 1\n" +
			"ray_vllm_prompt_tokens{ReplicaId=\"3\",model_name=\"b\"} 1\n", []string{"a", "b"}},
		{"Ray with the colon", "vLLM", "ray_vllm:num_requests_running{model_name=\"a\"} 1\nray_vllm:num_requests_running{model_name=\"b\"} 1\n", []string{"a", "b"}},
		{"SGLang on Ray", "SGLang", "ray_sglang_num_running_reqs{model_name=\"a\",tp_rank=\"0\"} 1\nray_sglang_num_running_reqs{model_name=\"b\",tp_rank=\"0\"} 1\n", []string{"a", "b"}},
		{"SGLang on older Ray", "SGLang", "ray_sglang:generation_tokens_total{model_name=\"a\"} 1\nray_sglang:generation_tokens_total{model_name=\"b\"} 1\n", []string{"a", "b"}},
		{"Dynamo's frontend", "Dynamo", "dynamo_frontend_output_tokens_total{model=\"a\"} 1\ndynamo_frontend_output_tokens_total{model=\"b\"} 1\n", []string{"a", "b"}},
		{"Triton", "Triton", "nv_inference_exec_count{model=\"a\",version=\"1\"} 1\nnv_inference_exec_count{model=\"b\",version=\"1\"} 1\n", []string{"a", "b"}},
		{"model_name before model", "vLLM", "vllm:num_requests_running{model=\"x\",model_name=\"a\"} 1\n", []string{"a"}},
		{"an engine that is not known, like LocalAI", "", "localai_tokens_total{served_model=\"a\",kind=\"x\"} 1\nlocalai_tokens_total{served_model=\"b\",kind=\"x\"} 1\n", []string{"a", "b"}},
		{"escapes", "vLLM", "vllm:num_requests_running{model_name=\"a\\\"b\"} 1\n", []string{`a"b`}},
		{"no label", "TGI", "tgi_batch_current_size 1\ntgi_queue_size 2\n", nil},
		{"an empty one", "vLLM", "vllm:num_requests_running{model_name=\"\"} 1\n", nil},
		{"forty", "vLLM", forty, fortyNames},
		{"more than are told apart", "vLLM", full, fullNames[:MaxNames]},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := ByName(c.runtime)
			first := r.Read([]byte(c.page)).Models
			if diff := cmp.Diff(c.want, first); diff != "" {
				t.Fatalf("(-want +got)\n%s", diff)
			}
			again := r.ReadAfter([]byte(c.page), first).Models
			if len(first) > 0 && (&first[0] != &again[0] || len(first) != len(again)) {
				t.Error("the same models are a new slice")
			}
			if c.runtime != "" && c.runtime != c.page {
				if got := Recognise([]byte(c.page)); got != c.runtime && got != "" {
					t.Errorf("it is taken for %s", got)
				}
			}
		})
	}
}

func TestModelsThatChange(t *testing.T) {
	page := func(names string) []byte {
		var b strings.Builder
		for _, metric := range []string{"running", "waiting"} {
			for name := range strings.FieldsSeq(names) {
				fmt.Fprintf(&b, "vllm:num_requests_%s{model_name=\"%s\"} 1\n", metric, name)
			}
		}
		return []byte(b.String())
	}
	r := vllm()
	var models []string
	for _, c := range []struct{ page, want string }{
		{"a b c", "a b c"}, {"c b a", "a b c"}, {"a c", "a c"}, {"a b c", "a c b"}, {"d", "d"}, {"", ""}, {"a", "a"},
	} {
		models = r.ReadAfter(page(c.page), models).Models
		if got := strings.Join(models, " "); got != c.want {
			t.Errorf("page of %s: %s, want %s", c.page, got, c.want)
		}
	}
}

// The models of a page cost no allocation while they stay the same, with escapes in their names or without.
func TestModelsAllocateNothing(t *testing.T) {
	var page strings.Builder
	for i := range 40 {
		fmt.Fprintf(&page, "vllm:num_requests_running{engine=\"0\",model_name=\"m%d\"} 1\n", i)
		fmt.Fprintf(&page, "vllm:num_requests_running{engine=\"0\",model_name=\"C:\\\\models\\\\m%d\"} 1\n", i)
	}
	r, text := vllm(), []byte(page.String())
	r, _ = ByName(r.Name)
	models := r.Read(text).Models
	one := []byte("vllm:num_requests_running{engine=\"0\",rank=\"0\"} 1\n")
	without := testing.AllocsPerRun(100, func() { r.Read(one) })
	if with := testing.AllocsPerRun(100, func() { r.ReadAfter(text, models) }); with > without {
		t.Errorf("%v allocations, %v without models", with, without)
	}
}

func TestAdapters(t *testing.T) {
	for page, want := range map[string]map[string]bool{
		"vllm:num_requests_running{model_name=\"a\"} 1\n":                                                                  nil,
		"vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\"sql, chat\",waiting_lora_adapters=\"fr\"} 1.7e9\n": {"sql": true, "chat": true, "fr": true},
		"vllm:lora_requests_info{max_lora=\"0\",running_lora_adapters=\"\",waiting_lora_adapters=\"\"} 0\n":                {},
		"dynamo_frontend_requests_total{model=\"sql\",lora=\"sql\"} 1\n":                                                   {"sql": true},
		"x_requests{lora_name=\"sql\"} 1\nx_requests{lora_adapter=\"fr\"} 1\n":                                             {"sql": true, "fr": true},
		"x{lora=\"un": {},
	} {
		if diff := cmp.Diff(want, Adapters([]byte(page))); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", page, diff)
		}
	}
}
