package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/enginepages"
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
	for _, m := range slices.Concat(catalog.Runtime, catalog.RuntimeExtra, catalog.Gateway) {
		want = append(want, Family{Name: m.Name, WireName: m.WireName(), Type: m.Type, Help: m.Help})
	}
	got := slices.Clone(compileDefault(t).Families())
	for i := range got {
		if help, _, marked := strings.Cut(got[i].Help, " (approximate: "); marked {
			got[i].Help = help + "."
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the built-in document's metrics (-catalog +document):\n%s", diff)
	}
	if len(catalog.Runtime) != 28 {
		t.Errorf("the catalog has %d unified families, the specification 28", len(catalog.Runtime))
	}
	if n := len(catalog.Runtime) + len(catalog.RuntimeNewer); n != 62 {
		t.Errorf("the catalog has %d of GPUStack's unified families, it has 62", n)
	}
	roundTrip(t, Default())
}

// TestDefault_FeedsEveryFamily also holds what RuntimeOwn and Gateway say: at least two kinds have each.
func TestDefault_FeedsEveryFamily(t *testing.T) {
	c := compileDefault(t)
	runtimes := []string{
		"vLLM", "SGLang", "MindIE", "TGI", "TEI", "Triton", "trtllm-serve", "LMDeploy", "llama.cpp", "NIM", "Dynamo",
		"FastDeploy", "LightLLM", "Xinference", "LiteLLM", "production-stack", "Envoy AI Gateway", "Higress",
	}
	fed := map[int][]string{}
	for _, runtime := range runtimes {
		plan := c.Plan(runtime, "3.0")
		if plan.Empty() {
			t.Errorf("%s is not mapped", runtime)
		}
		for _, targets := range plan.natives {
			for _, target := range targets {
				if !slices.Contains(fed[target.Family], runtime) {
					fed[target.Family] = append(fed[target.Family], runtime)
				}
			}
		}
	}
	for i, family := range c.Families() {
		least := 1
		if i >= len(catalog.Runtime)+len(catalog.RuntimeNewer) {
			least = 2
		}
		if len(fed[i]) < least {
			t.Errorf("%s is fed by %q, wanted are %d", family.Name, fed[i], least)
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
			"vllm:gpu_prefix_cache_hit_rate":   "gpustack:prefix_cache_hit_rate/0",
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
			"vllm:request_success_total":                   "gpustack:request_success/0 gpustack:request_failed/0 gpustack:request_failed/1 gpustack:request_aborted/0 gpustack:request_aborted/1",
			"ray_vllm:prompt_tokens_total":                 "gpustack:prompt_tokens/0",
			"ray_vllm_prompt_tokens":                       "gpustack:prompt_tokens/0",
			"vllm:iteration_tokens_total":                  "",
			"vllm:num_requests_waiting_by_reason":          "gpustack:num_requests_waiting_by_reason/0",
			"vllm:cache_config_info":                       "gpustack:kv_cache_capacity_tokens/0 gpustack:kv_cache_capacity_tokens/1",
			"vllm:nixl_xfer_time_seconds":                  "gpustack:kv_transfer_time_seconds/0 gpustack:pd_kv_transfer_seconds/0",
			"vllm_router_pd_requests_total":                "gpustack:pd_router_requests/0",
			"vllm_router_active_workers":                   "",
			"vllm:spec_decode_num_accepted_tokens_per_pos": "",
		}},
		{"SGLang", "0.5.10.post1", map[string]string{"sglang:spec_accept_rate": ""}},
		{"SGLang", "0.5.11", map[string]string{
			"sglang:spec_accept_rate":                 "gpustack:spec_decode_accept_rate/0",
			"sglang:queue_time_seconds":               "gpustack:request_queue_time_seconds/0",
			"sglang:queue_time_s":                     "gpustack:request_queue_time_seconds/1",
			"sglang:num_retracted_requests_total":     "gpustack:request_preemptions/0",
			"sglang:total_retracted_reqs":             "gpustack:request_preemptions/1",
			"sglang:num_retracted_reqs":               "gpustack:request_preemptions/2",
			"sglang:prompt_tokens_total":              "gpustack:prompt_tokens/0 gpustack:prefix_cache_queries/1",
			"sglang:cached_tokens_total":              "gpustack:prompt_tokens_cached/0 gpustack:prefix_cache_hits/1",
			"sglang:per_stage_req_latency_seconds":    "gpustack:request_prefill_time_seconds/0",
			"sglang:prefill_effective_tokens_total":   "gpustack:prefix_cache_queries/0 gpustack:prefix_cache_hits/0",
			"sglang_num_queue_reqs":                   "gpustack:num_requests_waiting/0",
			"ray_sglang_num_queue_reqs":               "gpustack:num_requests_waiting/0",
			"ray_sglang:prompt_tokens":                "gpustack:prompt_tokens/0 gpustack:prefix_cache_queries/1",
			"sgl_router_pd_requests_total":            "gpustack:pd_router_requests/0",
			"smg_router_requests_total":               "gpustack:pd_router_requests/1",
			"sglang:uncached_prompt_tokens_histogram": "gpustack:request_prefill_kv_computed_tokens/0",
		}},
		{"MindIE", "2.3.0", map[string]string{
			"time_per_output_token_seconds": "gpustack:inter_token_latency_seconds/0 gpustack:time_per_output_token_seconds/0", // between tokens, whatever the name
			"npu_radix_match_hit_num":       "gpustack:prefix_cache_hits/0 gpustack:prompt_tokens_cached/0",
			"npu_cache_usage_perc":          "gpustack:kv_cache_usage_ratio/0",
		}},
		{"SGLang", "", map[string]string{
			"sglang:kv_transfer_latency_ms":   "gpustack:kv_transfer_time_seconds/0 gpustack:pd_kv_transfer_latency_seconds/0",
			"sglang:kv_transfer_bootstrap_ms": "gpustack:pd_kv_transfer_seconds/0",
		}},
		{"TGI", "", map[string]string{
			"lorax_request_input_length": "gpustack:request_prompt_tokens/0 gpustack:prompt_tokens/0",
		}},
		{"Triton", "2.55.0", map[string]string{
			"nv_inference_request_success": "gpustack:request_success/0 gpustack:request_success/1 gpustack:request_success/2",
		}},
		{"trtllm-serve", "", map[string]string{"trtllm:request_success_total": "gpustack:request_success/0 gpustack:request_failed/1 gpustack:request_aborted/0"}},
		{"NIM", "", map[string]string{"gpu_cache_usage_perc": "gpustack:kv_cache_usage_ratio/0", "npu_cache_usage_perc": ""}},
		{"LightLLM", "", map[string]string{"lightllm_request_queue_duration_bucket": "gpustack:request_queue_time_seconds/0"}},
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

// leastCoverage is how many of the specification's families a page must feed.
var leastCoverage = map[string]int{
	"sglang":                    13,
	"vllm-current-dp2":          14,
	"mindie":                    15,
	"sglang-0.5.18-generated":   19,
	"vllm-0.23.0-generated":     25,
	"lmdeploy-0.10.0-generated": 16, // without cache hit rate, cached tokens and speculation, which came later
	"tgi-3.x-datadog":           12,
	"nim-1.0.0-datadog":         11,
	"mindie-3.0-motor-pd-node0": 14,
}

// TestDefault_CoversPages lists, for each page of an engine, which native family feeds which unified one: a change of the
// built-in document shows here. docs/engines.md has a table of the recorded ones.
func TestDefault_CoversPages(t *testing.T) {
	t.Run("own", func(t *testing.T) {
		golden(t, "testdata/coverage-own.txt", listCoverage(t, enginepages.Own(t)))
	})
	t.Run("recorded", func(t *testing.T) {
		golden(t, "testdata/coverage-recorded.txt", listCoverage(t, enginepages.Recorded(t)))
	})
}

func listCoverage(t *testing.T, pages []enginepages.Page) string {
	t.Helper()
	c := compileDefault(t)
	var text strings.Builder
	for _, p := range pages {
		if p.Runtime == "" {
			continue
		}
		chosen := choose(p.Text, c.Plan(p.Runtime, p.Version))
		covered := 0
		for i := range catalog.Runtime {
			if chosen[i] != "" {
				covered++
			}
		}
		if covered < leastCoverage[p.Name] {
			t.Errorf("%s feeds %d families, wanted are %d", p.Name, covered, leastCoverage[p.Name])
		}
		fmt.Fprintf(&text, "%s as %s: %d of %d\n", p.Name, strings.TrimSpace(p.Runtime+" "+p.Version), covered, len(catalog.Runtime))
		for i, family := range c.Families() {
			if native, ok := chosen[i]; ok {
				fmt.Fprintf(&text, "  %s <- %s\n", family.Name, native)
			}
		}
	}
	return text.String()
}

// TestDefault_Candidates lists the engines as the built-in document has them, with the candidates of each unified family.
// docs/engines.md has a table of it.
func TestDefault_Candidates(t *testing.T) {
	c := compileDefault(t)
	var text strings.Builder
	for i := range c.runtimes {
		listCandidates(&text, c, &c.runtimes[i])
	}
	golden(t, "testdata/candidates.txt", text.String())
}

// listCandidates lists the natives that a runtime has for each unified family, with ~ where the meaning is not equal.
func listCandidates(text *strings.Builder, c *Compiled, r *runtimeMapping) {
	natives := candidates(c, r)
	mapped, counted := 0, c.Plan(r.name, "").Core()
	for _, i := range counted {
		if natives[i] != nil {
			mapped++
		}
	}
	fmt.Fprintf(text, "%s in the document: %d of %d\n", r.name, mapped, len(counted))
	for i, family := range c.Families() {
		if natives[i] != nil {
			fmt.Fprintf(text, "  %s <- %s\n", family.Name, strings.Join(natives[i], ", "))
		}
	}
}

func candidates(c *Compiled, r *runtimeMapping) [][]string {
	natives := make([][]string, len(c.families))
	for _, in := range r.ranges {
		for _, e := range in.entries {
			for _, t := range e.targets {
				i, native := c.index[t.family], e.native
				if t.approx != "" {
					native += " ~"
				}
				if !slices.Contains(natives[i], native) {
					natives[i] = append(natives[i], native)
				}
			}
		}
	}
	return natives
}

// TestDefault_MapsLMDeploy is apart from the recorded pages: theirs is older than some of the families.
func TestDefault_MapsLMDeploy(t *testing.T) {
	c := compileDefault(t)
	mapped := 0
	for _, natives := range candidates(c, &c.runtimes[c.runtime("LMDeploy")])[:len(catalog.Runtime)] {
		if natives != nil {
			mapped++
		}
	}
	if mapped < 21 {
		t.Errorf("LMDeploy has %d of the families, wanted are 21", mapped)
	}
}

// choose returns the native family that feeds each unified family, by the TYPE lines of a page.
func choose(page []byte, plan *Plan) map[int]string {
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
