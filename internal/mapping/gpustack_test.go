package mapping

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
)

func gpustackDocument(t *testing.T) *Compiled {
	t.Helper()
	data, err := os.ReadFile("testdata/gpustack.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return mustCompile(t, string(data))
}

// TestGPUStackDocument_MeansTheSame holds the answers that GPUStack's own lookup gives for a document of its shape.
func TestGPUStackDocument_MeansTheSame(t *testing.T) {
	c := gpustackDocument(t)
	natives := []string{"vllm:num_requests_running", "vllm:num_requests_swapped", "vllm:time_per_output_token_seconds", "vllm:gpu_cache_usage_perc", "vllm:prefix_cache_queries"}
	const running, swapped, tpot, kv, queries = "gpustack:num_requests_running/0", "gpustack:num_requests_swapped/0", "gpustack:time_per_output_token_seconds/0", "gpustack:kv_cache_usage_ratio/0", "gpustack:prefix_cache_queries/0"
	tests := map[string][]string{
		"0.8.5":     {running, swapped, tpot, kv, "gpustack:prefix_cache_queries/1"},
		"0.9.2rc1":  {running, swapped, tpot, kv, "gpustack:prefix_cache_queries/1"},
		"0.10.0":    {running, swapped, tpot, "", queries},
		"0.11.0":    {running, swapped, "", "", queries},
		"0.11.1":    {running, "", "", "", queries},
		"0.23.0":    {running, "", "", "", queries},
		"":          {running, "", "", "", queries},
		"a-nightly": {running, "", "", "", queries},
	}
	for version, want := range tests {
		got := lookups(c.Plan("vLLM", version), natives...)
		for i, native := range natives {
			if got[native] != want[i] {
				t.Errorf("vLLM %q: %s -> %q, want %q", version, native, got[native], want[i])
			}
		}
	}
	for version, want := range map[string]string{"0.4.4": tpot, "0.4.3.post4": tpot, "0.4.4.post1": "", "0.5.18": ""} {
		if got := lookups(c.Plan("SGLang", version), "sglang:time_per_output_token_seconds")["sglang:time_per_output_token_seconds"]; got != want {
			t.Errorf("SGLang %s: %q, want %q", version, got, want)
		}
	}
	if got := c.Plan("MindIE", "2.3.0").Lookup([]byte("prompt_tokens_total")); len(got) != 1 {
		t.Errorf("MindIE's prompt_tokens_total: %v", got)
	}
}

func TestGPUStackDocument_TypesInAnyCase(t *testing.T) {
	c := gpustackDocument(t)
	for _, family := range c.Families() {
		if !family.Type.Valid() {
			t.Errorf("%s has the type %q", family.Name, family.Type)
		}
	}
	i := c.Plan("vLLM", "").Lookup([]byte("vllm:external_prefix_cache_hits_total"))[0].Family
	want := Family{Name: "gpustack:external_prefix_cache_hits", WireName: "gpustack:external_prefix_cache_hits_total", Type: catalog.Counter, Help: "A family of its own."}
	if diff := cmp.Diff(want, c.Families()[i]); diff != "" {
		t.Errorf("a family beside the 28 (-want +got):\n%s", diff)
	}
}

// TestGPUStackBug03_BadDocumentIsRefusedWhole: GPUStack stores any JSON and then fails at each scrape.
func TestGPUStackBug03_BadDocumentIsRefusedWhole(t *testing.T) {
	const good = `"gpustack:num_requests_running": {"type": "gauge", "description": "Running."}`
	for name, text := range map[string]string{
		"null mapping":             `{"gpustack_metrics": {` + good + `}, "runtime_mapping": null}`,
		"null runtime":             `{"gpustack_metrics": {` + good + `}, "runtime_mapping": {"vLLM": null}}`,
		"null range":               `{"gpustack_metrics": {` + good + `}, "runtime_mapping": {"vLLM": {"*": null}}}`,
		"unknown type":             `{"gpustack_metrics": {"gpustack:num_requests_running": {"type": "gague", "description": ""}}, "runtime_mapping": {}}`,
		"no type":                  `{"gpustack_metrics": {"gpustack:num_requests_running": {"description": ""}}, "runtime_mapping": {}}`,
		"wrong type":               `{"gpustack_metrics": {` + good + `}, "runtime_mapping": {"vLLM": ["*"]}}`,
		"number for a target":      `{"gpustack_metrics": {` + good + `}, "runtime_mapping": {"vLLM": {"*": {"x": 1}}}}`,
		"range that is no range":   `{"gpustack_metrics": {` + good + `}, "runtime_mapping": {"vLLM": {"<old": {"x": "gpustack:num_requests_running"}}}}`,
		"target that is undefined": `{"gpustack_metrics": {` + good + `}, "runtime_mapping": {"vLLM": {"*": {"x": "gpustack:running"}}}}`,
		"list":                     `[]`,
		"text":                     `"*"`,
		"empty object":             `{}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, fault := range faultsOf(t, []byte(text)) {
				if fault.Detail == "" {
					t.Error("a fault without a word")
				}
			}
		})
	}
}

// TestGPUStackBug03_OneFaultIsNotHiddenByAnother: each of two faults is told, whichever comes first.
func TestGPUStackBug03_OneFaultIsNotHiddenByAnother(t *testing.T) {
	faults := faultsOf(t, []byte(`{"runtime_mapping": {"vLLM": {"*": {"x": null}}}, "gpustack_metrics": {"a": {"type": "gague"}}}`))
	if len(faults) != 2 {
		t.Errorf("%d faults, want 2: %v", len(faults), faults)
	}
}

// TestGPUStackUnifiedRank_NeverTwoNatives: where GPUStack writes two natives into one series, ranks pick one.
func TestGPUStackUnifiedRank_NeverTwoNatives(t *testing.T) {
	p := gpustackDocument(t).Plan("vLLM", "0.9.1")
	old, current := p.Lookup([]byte("vllm:gpu_cache_usage_perc")), p.Lookup([]byte("vllm:kv_cache_usage_perc"))
	if len(old) != 1 || len(current) != 1 || old[0].Family != current[0].Family || old[0].Rank >= current[0].Rank {
		t.Errorf("gpu_cache_usage_perc %v, kv_cache_usage_perc %v: want one family, the range's entry first", old, current)
	}
}
