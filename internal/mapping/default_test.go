package mapping

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
)

func compileDefault(t *testing.T) *Compiled {
	t.Helper()
	c, err := Compile(Default())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefault_DefinesTheCatalog(t *testing.T) {
	var want []Family
	for _, m := range catalog.Runtime {
		want = append(want, Family{Name: m.Name, WireName: m.WireName(), Type: m.Type, Help: m.Help})
	}
	c := compileDefault(t)
	if diff := cmp.Diff(want, c.Families()); diff != "" {
		t.Errorf("the built-in document's metrics (-catalog +document):\n%s", diff)
	}
	if len(want) != 28 {
		t.Errorf("the catalog has %d unified families, the specification 28", len(want))
	}
	roundTrip(t, Default())
}

func TestDefault_FeedsEveryFamily(t *testing.T) {
	c := compileDefault(t)
	fed := map[int]bool{}
	for _, runtime := range []string{"vLLM", "SGLang", "MindIE"} {
		plan := c.Plan(runtime, "1.0")
		if plan.Empty() {
			t.Errorf("%s is not mapped", runtime)
		}
		for _, targets := range plan.natives {
			for _, target := range targets {
				fed[target.Family] = true
			}
		}
	}
	for i, family := range c.Families() {
		if !fed[i] {
			t.Errorf("nothing feeds %s", family.Name)
		}
	}
}

func TestDefault_Choices(t *testing.T) {
	c := compileDefault(t)
	tests := []struct {
		runtime, version string
		want             map[string]string
	}{
		{"vLLM", "0.8.5", map[string]string{
			"vllm:gpu_prefix_cache_hits_total": "", // blocks
			"vllm:gpu_cache_usage_perc":        "gpustack:kv_cache_usage_ratio/1",
			"vllm:gpu_prefix_cache_hit_rate":   "", // -1 is off
		}},
		{"vLLM", "0.9.1", map[string]string{
			"vllm:prompt_tokens_cached_total":     "gpustack:prompt_tokens_cached/0",
			"vllm:prefix_cache_hits_total":        "gpustack:prefix_cache_hits/0 gpustack:prompt_tokens_cached/1",
			"vllm:gpu_prefix_cache_hits_total":    "gpustack:prefix_cache_hits/1 gpustack:prompt_tokens_cached/2",
			"vllm:prefix_cache_queries_total":     "gpustack:prefix_cache_queries/0",
			"vllm:gpu_prefix_cache_queries_total": "gpustack:prefix_cache_queries/1",
		}},
		{"vLLM", "", map[string]string{
			"vllm:prefix_cache_hits_total":                 "gpustack:prefix_cache_hits/0 gpustack:prompt_tokens_cached/1",
			"vllm:gpu_prefix_cache_hits_total":             "",
			"vllm:kv_cache_usage_perc":                     "gpustack:kv_cache_usage_ratio/0",
			"vllm:gpu_cache_usage_perc":                    "gpustack:kv_cache_usage_ratio/1",
			"vllm:inter_token_latency_seconds":             "gpustack:inter_token_latency_seconds/0",
			"vllm:request_time_per_output_token_seconds":   "gpustack:time_per_output_token_seconds/0",
			"vllm:time_per_output_token_seconds":           "gpustack:time_per_output_token_seconds/1 gpustack:inter_token_latency_seconds/1",
			"vllm:request_success_total":                   "gpustack:request_success/0",
			"vllm:iteration_tokens_total":                  "",
			"vllm:num_requests_waiting_by_reason":          "",
			"vllm:spec_decode_num_accepted_tokens_per_pos": "",
		}},
		{"SGLang", "0.5.10.post1", map[string]string{"sglang:spec_accept_rate": ""}},
		{"SGLang", "0.5.11", map[string]string{
			"sglang:spec_accept_rate":                 "gpustack:spec_decode_accept_rate/0",
			"sglang:queue_time_seconds":               "gpustack:request_queue_time_seconds/0",
			"sglang:queue_time_s":                     "gpustack:request_queue_time_seconds/1",
			"sglang:num_retracted_requests_total":     "gpustack:request_preemptions/0",
			"sglang:total_retracted_reqs":             "gpustack:request_preemptions/1",
			"sglang:prompt_tokens_total":              "gpustack:prompt_tokens/0 gpustack:prefix_cache_queries/0",
			"sglang:cached_tokens_total":              "gpustack:prompt_tokens_cached/0 gpustack:prefix_cache_hits/0",
			"sglang:per_stage_req_latency_seconds":    "",
			"sglang:prefill_effective_tokens_total":   "",
			"sglang:uncached_prompt_tokens_histogram": "gpustack:request_prefill_kv_computed_tokens/0",
		}},
		{"MindIE", "2.3.0", map[string]string{
			"time_per_output_token_seconds": "gpustack:inter_token_latency_seconds/0", // between tokens, whatever the name
			"npu_radix_match_hit_num":       "gpustack:prefix_cache_hits/0 gpustack:prompt_tokens_cached/0",
			"npu_cache_usage_perc":          "gpustack:kv_cache_usage_ratio/0",
		}},
	}
	for _, tt := range tests {
		natives := make([]string, 0, len(tt.want))
		for native := range tt.want {
			natives = append(natives, native)
		}
		if diff := cmp.Diff(tt.want, lookups(c.Plan(tt.runtime, tt.version), natives...)); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tt.runtime, tt.version, diff)
		}
	}
}

// TestDefault_CoversRecordedPages lists, for each recorded page of an engine, which native family feeds which unified
// one: a change of the built-in document shows here.
func TestDefault_CoversRecordedPages(t *testing.T) {
	paths, err := filepath.Glob("../../../shared/captures/*.prom")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skip("there are no recorded pages in ../../../shared/captures")
	}
	c := compileDefault(t)
	var text strings.Builder
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".prom")
		engine, version, _ := strings.Cut(name, "-")
		runtime := map[string]string{"vllm": "vLLM", "sglang": "SGLang", "mindie": "MindIE"}[engine]
		if runtime == "" {
			continue
		}
		version, _, _ = strings.Cut(version, "-")
		version = strings.Replace(version, ".x", ".0", 1)
		chosen := choose(t, path, c.Plan(runtime, version))
		fmt.Fprintf(&text, "%s as %s %s: %d\n", name, runtime, version, len(chosen))
		for i, family := range c.Families() {
			if native, ok := chosen[i]; ok {
				fmt.Fprintf(&text, "  %s <- %s\n", family.Name, native)
			}
		}
	}
	golden(t, "testdata/coverage.txt", text.String())
}

// choose returns the native family that feeds each unified family, by the TYPE lines of a page.
func choose(t *testing.T, path string, plan *Plan) map[int]string {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	chosen, ranks := map[int]string{}, map[int]int{}
	for line := range strings.Lines(string(page)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "#" || fields[1] != "TYPE" {
			continue
		}
		for _, target := range plan.Lookup([]byte(fields[2])) {
			if rank, ok := ranks[target.Family]; !ok || target.Rank < rank {
				chosen[target.Family], ranks[target.Family] = fields[2], target.Rank
			}
		}
	}
	return chosen
}
