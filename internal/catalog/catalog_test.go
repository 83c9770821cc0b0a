package catalog_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
)

func all() []catalog.Metric {
	return slices.Concat(catalog.Runtime, catalog.RuntimeExtra, catalog.Gateway, catalog.WorkerNode, catalog.GPU, catalog.Instance, catalog.WorkerOwn, catalog.Server, catalog.ServerOwn)
}

// The specification's "LLM Serving Runtime Metrics", in its order.
const specification = `gauge gpustack:num_requests_running
gauge gpustack:num_requests_waiting
gauge gpustack:num_requests_swapped
gauge gpustack:prefix_cache_hit_rate
gauge gpustack:kv_cache_usage_ratio
counter gpustack:prefix_cache_queries
counter gpustack:prefix_cache_hits
counter gpustack:prompt_tokens
counter gpustack:generation_tokens
histogram gpustack:request_prompt_tokens
histogram gpustack:request_generation_tokens
histogram gpustack:time_to_first_token_seconds
histogram gpustack:inter_token_latency_seconds
histogram gpustack:time_per_output_token_seconds
histogram gpustack:e2e_request_latency_seconds
counter gpustack:request_success
`

func TestRuntimeFamiliesOfTheSpecificationComeFirst(t *testing.T) {
	if len(catalog.Runtime) != 28 {
		t.Errorf("%d runtime families, GPUStack has 28", len(catalog.Runtime))
	}
	var got strings.Builder
	for _, m := range catalog.Runtime[:16] {
		got.WriteString(string(m.Type) + " " + m.Name + "\n")
	}
	if diff := cmp.Diff(specification, got.String()); diff != "" {
		t.Errorf("(-specification +catalog)\n%s", diff)
	}
}

func TestDeclarations(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*(:[a-z0-9_]+)?$`)
	label := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	seen := map[string]bool{}
	for _, m := range all() {
		if seen[m.WireName()] {
			t.Errorf("%s is declared twice", m.WireName())
		}
		seen[m.WireName()] = true
		if !name.MatchString(m.Name) || strings.HasSuffix(m.Name, "_total") {
			t.Errorf("%s: not a family's name without _total", m.Name)
		}
		if !m.Type.Valid() {
			t.Errorf("%s: type %q", m.Name, m.Type)
		}
		if !strings.HasSuffix(m.Help, ".") || strings.Contains(m.Help, "\n") {
			t.Errorf("%s: help %q is not one sentence", m.Name, m.Help)
		}
		for i, l := range m.Labels {
			if !label.MatchString(l) || slices.Contains(m.Labels[:i], l) {
				t.Errorf("%s: label %q", m.Name, l)
			}
		}
	}
}

// GPUStack exports worker_node_gpu_info without the prefix that all its other metrics have. It is exported under both names: its users'
// rules know the one, and selections of all metrics with the prefix need the other. What is about this program alone, and nothing that
// GPUStack has, carries the program's name.
func TestGPUStackBug10_EveryMetricHasThePrefix(t *testing.T) {
	names := map[string]bool{}
	for _, m := range all() {
		names[m.Name] = true
	}
	for _, m := range all() {
		switch {
		case strings.HasPrefix(m.Name, catalog.Prefix), strings.HasPrefix(m.Name, "stackscope_"):
		case m.Name == "worker_node_gpu_info" && names[catalog.Prefix+m.Name]:
		default:
			t.Errorf("%s lacks the prefix %s", m.Name, catalog.Prefix)
		}
	}
	if !names["worker_node_gpu_info"] {
		t.Error("worker_node_gpu_info is missing without the prefix, as GPUStack has it")
	}
}

func TestNamesOfSamples(t *testing.T) {
	for typ, want := range map[catalog.Type][]string{
		catalog.Gauge: {"a"}, catalog.Counter: {"a_total"}, catalog.Histogram: {"a_bucket", "a_sum", "a_count"}, catalog.Summary: {"a", "a_sum", "a_count"},
	} {
		if diff := cmp.Diff(want, catalog.Metric{Name: "a", Type: typ}.SampleNames()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", typ, diff)
		}
	}
}
