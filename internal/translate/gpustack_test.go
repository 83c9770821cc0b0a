package translate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// Each test of this file fails with GPUStack's behaviour. Bugs are numbered as in the compatibility notes; those named
// after engines come from running GPUStack on engines' pages.

// instance is an engine of a worker.
type instance struct {
	runtime, version, page string
	format                 translate.Format
}

// translateAll returns the unified page of a worker with these engines.
func translateAll(t *testing.T, instances ...instance) string {
	t.Helper()
	m := defaultMapping(t)
	var results []*translate.Result
	for i, in := range instances {
		r := new(translate.Result)
		source := translate.NewSource([]translate.Label{
			{Name: "model_instance_id", Value: string(rune('1' + i))},
			{Name: "runtime", Value: in.runtime},
		})
		r.Translate([]byte(in.page), in.format, m.Plan(in.runtime, in.version), source)
		results = append(results, r)
	}
	var w exposition.Writer
	translate.Merge(&w, m.Families(), results...)
	samples, err := readBack(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, w.Bytes(), len(samples))
	series := map[string]bool{}
	for _, s := range samples {
		if key := s.Name + s.Labels; series[key] {
			t.Errorf("series %s comes twice", key)
		} else {
			series[key] = true
		}
	}
	return string(w.Bytes())
}

func wantLines(t *testing.T, page string, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(page) {
		if line[0] != '#' {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("samples are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestGPUStackBug04_UntypedAndOpenMetricsCountersAreTranslated(t *testing.T) {
	page := translateAll(t,
		instance{"vLLM", "0.23.0", "vllm:num_requests_running{engine=\"0\"} 1\n# TYPE vllm:prompt_tokens_total untyped\nvllm:prompt_tokens_total{engine=\"0\"} 2\n", translate.Text},
		instance{"vLLM", "0.23.0", "# TYPE vllm:prompt_tokens counter\nvllm:prompt_tokens_total{engine=\"0\"} 3\n# EOF\n", translate.OpenMetrics},
		instance{"SGLang", "", "# TYPE sglang:prompt_tokens_total unknown\nsglang:num_running_reqs 4\n", translate.Text})
	wantLines(t, page,
		`gpustack:num_requests_running{model_instance_id="1",runtime="vLLM",engine="0"} 1`,
		`gpustack:num_requests_running{model_instance_id="3",runtime="SGLang"} 4`,
		`gpustack:prompt_tokens_total{model_instance_id="1",runtime="vLLM",engine="0"} 2`,
		`gpustack:prompt_tokens_total{model_instance_id="2",runtime="vLLM",engine="0"} 3`)
}

func TestGPUStackBug06_LabelsOfTwoRuntimesStayTheirOwn(t *testing.T) {
	vllm := instance{"vLLM", "0.23.0", "vllm:num_requests_running{engine=\"0\"} 1\n", translate.Text}
	sglang := instance{"SGLang", "0.5.18", "sglang:num_running_reqs{engine_type=\"unified\",pp_rank=\"0\",tp_rank=\"1\"} 2\n", translate.Text}
	wantLines(t, translateAll(t, vllm, sglang),
		`gpustack:num_requests_running{model_instance_id="1",runtime="vLLM",engine="0"} 1`,
		`gpustack:num_requests_running{model_instance_id="2",runtime="SGLang",engine_type="unified",pp_rank="0",tp_rank="1"} 2`)
	wantLines(t, translateAll(t, sglang, vllm),
		`gpustack:num_requests_running{model_instance_id="1",runtime="SGLang",engine_type="unified",pp_rank="0",tp_rank="1"} 2`,
		`gpustack:num_requests_running{model_instance_id="2",runtime="vLLM",engine="0"} 1`)
}

func TestGPUStackBug07_LabelsThatTheFirstSampleLacksAreKept(t *testing.T) {
	page := translateAll(t, instance{"vLLM", "0.23.0", "vllm:prompt_tokens_total{engine=\"0\"} 1\n" +
		"vllm:prompt_tokens_total{engine=\"0\",source=\"local\"} 2\nvllm:prompt_tokens_total{engine=\"0\",source=\"remote\"} 3\n", translate.Text})
	wantLines(t, page,
		`gpustack:prompt_tokens_total{model_instance_id="1",runtime="vLLM",engine="0"} 1`,
		`gpustack:prompt_tokens_total{model_instance_id="1",runtime="vLLM",engine="0",source="local"} 2`,
		`gpustack:prompt_tokens_total{model_instance_id="1",runtime="vLLM",engine="0",source="remote"} 3`)
}

func TestGPUStackBug22_BucketsOfTwoInstancesStayApartAndHelpIsTheMappings(t *testing.T) {
	page := translateAll(t,
		instance{"vLLM", "0.23.0", "# HELP vllm:time_to_first_token_seconds Theirs.\nvllm:time_to_first_token_seconds_bucket{le=\"0.5\"} 1 # {trace_id=\"a\"} 0.1\nvllm:time_to_first_token_seconds_created 1.7e9\n", translate.OpenMetrics},
		instance{"SGLang", "0.5.18", "sglang:time_to_first_token_seconds_bucket{le=\"0.4\"} 1\n", translate.Text})
	wantLines(t, page,
		`gpustack:time_to_first_token_seconds_bucket{model_instance_id="1",runtime="vLLM",le="0.5"} 1`,
		`gpustack:time_to_first_token_seconds_bucket{model_instance_id="2",runtime="SGLang",le="0.4"} 1`)
	if !strings.HasPrefix(page, "# HELP gpustack:time_to_first_token_seconds Time from a request's arrival") {
		t.Errorf("HELP is not the mapping's:\n%s", page)
	}
}

func TestGPUStackEngines_RanksBehindAnotherRuntimeStayApart(t *testing.T) {
	page := translateAll(t,
		instance{"MindIE", "3.0.0", "num_requests_running{model_name=\"m\"} 1\n", translate.Text},
		instance{"vLLM", "0.23.0", "vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 2\nvllm:num_requests_running{engine=\"1\",model_name=\"m\"} 3\n", translate.Text})
	wantLines(t, page,
		`gpustack:num_requests_running{model_instance_id="1",runtime="MindIE",model_name="m"} 1`,
		`gpustack:num_requests_running{model_instance_id="2",runtime="vLLM",engine="0",model_name="m"} 2`,
		`gpustack:num_requests_running{model_instance_id="2",runtime="vLLM",engine="1",model_name="m"} 3`)
}

func TestGPUStackEngines_TwoNativesOfOneFamilyGiveOneSeries(t *testing.T) {
	page := translateAll(t, instance{"vLLM", "0.9.1", "vllm:gpu_cache_usage_perc{engine=\"0\"} 0.5\nvllm:kv_cache_usage_perc{engine=\"0\"} 0.25\n", translate.Text})
	wantLines(t, page, `gpustack:kv_cache_usage_ratio{model_instance_id="1",runtime="vLLM",engine="0"} 0.25`)
}

func TestGPUStackEngines_RepeatedFamilyKeepsAllItsSamples(t *testing.T) {
	page := translateAll(t, instance{"vLLM", "0.9.1", "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{NodeAddress=\"a\"} 1\n" +
		"# TYPE other gauge\nother 1\n# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{NodeAddress=\"b\"} 2\n", translate.Text})
	wantLines(t, page,
		`gpustack:num_requests_running{model_instance_id="1",runtime="vLLM",NodeAddress="a"} 1`,
		`gpustack:num_requests_running{model_instance_id="1",runtime="vLLM",NodeAddress="b"} 2`)
}

func TestGPUStackEngines_RawLabelsStayTheirOwnAndTypesMayDiffer(t *testing.T) {
	var older, newer translate.Raw
	older.Collect([]byte("# TYPE sglang:kv_transfer_latency_ms gauge\nsglang:kv_transfer_latency_ms{tp_rank=\"0\"} 3\n"), translate.Text,
		translate.NewSource([]translate.Label{{Name: "model_instance_id", Value: "1"}}))
	newer.Collect([]byte("# TYPE sglang:kv_transfer_latency_ms histogram\nsglang:kv_transfer_latency_ms_sum{tp_rank=\"0\",dp_rank=\"1\"} 4\n"), translate.Text,
		translate.NewSource([]translate.Label{{Name: "model_instance_id", Value: "2"}}))
	page := string(mergeRaw(&older, nil, &newer))
	checkPage(t, []byte(page), 2)
	wantLines(t, page,
		`sglang:kv_transfer_latency_ms{model_instance_id="1",tp_rank="0"} 3`,
		`sglang:kv_transfer_latency_ms_sum{model_instance_id="2",tp_rank="0",dp_rank="1"} 4`)
	if strings.Contains(page, "# TYPE") {
		t.Errorf("a family with two types has one:\n%s", page)
	}
}

// TestMergeOfTwoGenerations checks that results of an older mapping take part where it means the same.
func TestMergeOfTwoGenerations(t *testing.T) {
	compile := func(text string) *mapping.Compiled {
		document, err := mapping.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		c, err := mapping.Compile(document)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	older := compile(`{"gpustack_metrics": {"gpustack:a": {"type": "gauge"}, "gpustack:b": {"type": "gauge"}, "gpustack:gone": {"type": "gauge"}},
		"runtime_mapping": {"E": {"*": {"a": "gpustack:a", "b": "gpustack:b", "gone": "gpustack:gone"}}}}`)
	newer := compile(`{"gpustack_metrics": {"gpustack:b": {"type": "histogram"}, "gpustack:new": {"type": "counter"}, "gpustack:a": {"type": "gauge"}},
		"runtime_mapping": {"E": {"*": {"a": "gpustack:a", "b": "gpustack:b", "new": "gpustack:new"}}}}`)
	page := []byte("a 1\nb 2\nb_sum 3\nnew 4\ngone 5\n")
	var first, second translate.Result
	first.Translate(page, translate.Text, older.Plan("E", ""), translate.NewSource([]translate.Label{{Name: "i", Value: "1"}}))
	second.Translate(page, translate.Text, newer.Plan("E", ""), translate.NewSource([]translate.Label{{Name: "i", Value: "2"}}))
	var w exposition.Writer
	translate.Merge(&w, newer.Families(), nil, &first, &second)
	wantLines(t, string(w.Bytes()), `gpustack:b_sum{i="2"} 3`, `gpustack:new_total{i="2"} 4`, `gpustack:a{i="1"} 1`, `gpustack:a{i="2"} 1`)
}
