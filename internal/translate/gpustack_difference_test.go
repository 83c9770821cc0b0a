package translate_test

import (
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stackscope/stackscope/internal/enginepages"
)

// gpustackRows are the allowed differences from GPUStack: how the row of docs/migration.md about them begins, and which they are, as
// "PAGE RUNTIME METRIC KIND". The first pattern that matches a difference takes it.
var gpustackRows = []struct {
	row         string
	differences []string
}{
	{"`model_name` of an engine is overwritten", []string{"* * - label", "recorded:* vLLM num_requests_waiting twice"}},
	{"a page with one unreadable line is refused", []string{"bad-line vLLM * more", "recorded:triton-vllm-backend-readme vLLM * more"}},
	{"of a metric that comes twice on a page", []string{"vllm-pd-both vLLM * more"}},
	{"a label that a metric's first series lacks", []string{"* SGLang num_requests_running twice", "* SGLang num_requests_waiting twice"}},
	{"two native metrics of one unified metric", []string{"two-names vLLM kv_cache_usage_ratio twice", "recorded:* SGLang request_preemptions twice"}},
	{"no names of Ray Serve", []string{"*ray* vLLM * more", "*ray* SGLang * more"}},
	{"`gpustack:num_requests_running` of SGLang for each tensor", []string{
		"sglang-experts SGLang num_requests_running value", "* SGLang num_requests_* less", "* SGLang pd_[^r]* less", "* SGLang spec_decode_accept_length less",
		"* SGLang request_queue_time_seconds less", "* SGLang estimated_flops_per_gpu less",
	}},
	{"`gpustack:num_requests_running` of SGLang for each priority", []string{"* SGLang num_requests_running priority"}},
	{"`gpustack:request_success_total` of vLLM has aborts", []string{"* vLLM request_success less"}},
	{"the label `finish_reason` of imitations", []string{"* vLLM request_success more"}},
	{"`gpustack:prefix_cache_queries_total` of vLLM before 0.9.0", []string{"vllm-0.8.* vLLM prefix_cache_* less"}},
	{"`gpustack:request_preemptions_total` is SGLang's gauge", []string{
		"* SGLang request_preemptions more", "* SGLang request_preemptions less", "recorded:* SGLang request_preemptions value",
	}},
	{"`gpustack:spec_decode_accept_rate` of SGLang before 0.5.11", []string{"* SGLang spec_decode_accept_rate less"}},
	{"`gpustack:pd_router_worker_health` of SGLang's router", []string{"* SGLang pd_router_worker_health less"}},
	{"`gpustack:pd_router_requests_total` only", []string{"vllm-router* vLLM pd_router_* more"}},
	{"no `gpustack:inter_token_latency_seconds` of MindIE", []string{
		"* MindIE inter_token_latency_seconds more", "* vLLM inter_token_latency_seconds more",
	}},
	{"no `gpustack:prefix_cache_hits_total` of SGLang", []string{
		"* SGLang prefix_cache_* more", "* MindIE prefix_cache_* more", "* MindIE prompt_tokens_cached more", "* vLLM prompt_tokens_cached more",
		"* SGLang request_success more", "recorded:* SGLang request_prefill_kv_computed_tokens more", "recorded:* SGLang spec_decode_drafts more",
		"* SGLang pd_prefill_*_queue_requests more", "recorded:* SGLang time_per_output_token_seconds more",
	}},
	{"62 metrics of engines", []string{"* * - new"}},
}

// TestDifferencesFromGPUStack compares our samples of each page with those that GPUStack would export. All differences, and no others,
// are rows of a table of docs/migration.md. For the repository's pages, GPUStack's samples are in a file.
func TestDifferencesFromGPUStack(t *testing.T) {
	g := newGPUStackReference(t)
	pages := append(enginepages.Own(t),
		enginepages.Page{Name: "bad-line", Runtime: "vLLM", Version: "0.23.0", Text: []byte("vllm:num_requests_running 3\nvllm:num_requests_waiting -nan(ind)\n")},
		enginepages.Page{Name: "two-names", Runtime: "vLLM", Version: "0.9.1", Text: []byte("vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.5\n")})
	expected := map[string]string{}
	archive, err := txtar.ParseFile(gpustackFolder + "expected.txtar")
	if err != nil && !*update {
		t.Fatal(err)
	}
	if err == nil {
		for _, f := range archive.Files {
			expected[f.Name] = string(f.Data)
		}
	}
	used := map[string]bool{}
	written := &txtar.Archive{Comment: []byte("What GPUStack exports for the pages of this repository, without the prefix gpustack: and the labels of instances. -update writes it.\n\n")}
	for _, p := range pages {
		if !comparedWithGPUStack(p) {
			continue
		}
		theirs := g.translate(t, p)
		text := strings.Join(append(theirs, ""), "\n")
		written.Files = append(written.Files, txtar.File{Name: p.Name, Data: []byte(text)})
		if diff := cmp.Diff(expected[p.Name], text); diff != "" && !*update {
			t.Errorf("%s: GPUStack's samples (-file +reference):\n%s", p.Name, diff)
		}
		delete(expected, p.Name)
		allowDifferences(t, g, p, theirs, used)
	}
	if *update {
		if err := os.WriteFile(gpustackFolder+"expected.txtar", txtar.Format(written), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if len(expected) > 0 {
		t.Errorf("the file has pages that are not in the repository: %v", slices.Sorted(maps.Keys(expected)))
	}
	recorded := false
	t.Run("recorded", func(t *testing.T) {
		for _, p := range enginepages.Recorded(t) {
			if recorded = true; comparedWithGPUStack(p) {
				allowDifferences(t, g, p, g.translate(t, p), used)
			}
		}
	})
	var rows []string
	for _, row := range gpustackRows {
		rows = append(rows, row.row)
		for _, pattern := range row.differences {
			if !used[pattern] && (recorded || !strings.HasPrefix(pattern, "recorded:")) {
				t.Errorf("no page has the difference %q of the row %q any more", pattern, row.row)
			}
		}
	}
	checkDifferenceRows(t, rows)
}

// comparedWithGPUStack reports whether GPUStack reads such a page, and it is known how.
func comparedWithGPUStack(p enginepages.Page) bool {
	return slices.Contains([]string{"vLLM", "SGLang", "MindIE"}, p.Runtime) && !strings.Contains(p.Name, "openmetrics")
}

func allowDifferences(t *testing.T, g *gpustackReference, p enginepages.Page, theirs []string, used map[string]bool) {
	t.Helper()
	ours, renamed := stackscopeLines(t, p)
	differences := gpustackDifferences(g, theirs, ours)
	if renamed {
		differences["- label"] = exportedModel
	}
	for difference, example := range differences {
		difference = p.Name + " " + p.Runtime + " " + difference
		if !useRow(difference, used) {
			t.Errorf("%s: %s: add it to the rows and to docs/migration.md, or mend it", difference, example)
		}
	}
}

func useRow(difference string, used map[string]bool) bool {
	for _, row := range gpustackRows {
		for _, pattern := range row.differences {
			if ok, _ := path.Match(strings.TrimPrefix(pattern, "recorded:"), difference); ok {
				used[pattern] = true
				return true
			}
		}
	}
	return false
}

// gpustackDifferences returns the differences of a page, "METRIC KIND", and an example of each. Kinds: less, a series that we lack;
// priority, one of a single priority; more, one that GPUStack lacks; twice, one that it has twice; value; new, a metric
// that it does not know; label, a label that is only ours.
func gpustackDifferences(g *gpustackReference, theirs, ours []string) map[string]string {
	differences := map[string]string{}
	add := func(series, kind, example string) {
		differences[g.metric(series)+" "+kind] = example
	}
	a, b := bySeries(theirs), bySeries(ours)
	for series, values := range a {
		own, ok := b[series]
		switch {
		case !ok && strings.Contains(series, `priority="`):
			add(series, "priority", series)
		case !ok:
			add(series, "less", series)
		case len(values) > 1:
			add(series, "twice", series)
		case own[0] != values[0]:
			add(series, "value", series+": GPUStack's "+values[0]+", ours "+own[0])
		}
	}
	for series := range b {
		switch _, ok := a[series]; {
		case g.metric(series) == "-":
			add(series, "new", series)
		case !ok:
			add(series, "more", series)
		}
	}
	return differences
}

func bySeries(lines []string) map[string][]string {
	series := map[string][]string{}
	for _, line := range lines {
		i := strings.LastIndexByte(line, ' ')
		series[line[:i]] = append(series[line[:i]], line[i+1:])
	}
	return series
}

// metric returns the unified metric of a series, or - if GPUStack has none of its name.
func (g *gpustackReference) metric(series string) string {
	name, _, _ := strings.Cut(series, "{")
	for _, suffix := range []string{"", "_total", "_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && g.types[base] != "" {
			return base
		}
	}
	return "-"
}

// checkDifferenceRows checks that the table behind the mark "differences" in docs/migration.md has these rows, in this order.
func checkDifferenceRows(t *testing.T, want []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/migration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "<!-- differences: engines -->\n")
	if !ok {
		t.Fatal("docs/migration.md has no mark differences: engines")
	}
	var rows []string
	for i, line := range strings.Split(table, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if i < 2 { // the head
			continue
		}
		rows = append(rows, strings.TrimPrefix(line, "| "))
	}
	for i := range max(len(rows), len(want)) {
		switch {
		case i >= len(rows):
			t.Errorf("docs/migration.md lacks a row that begins with %q", want[i])
		case i >= len(want):
			t.Errorf("docs/migration.md has a row without a difference: %s", rows[i])
		case !strings.HasPrefix(rows[i], want[i]):
			t.Errorf("row %d of docs/migration.md is %q, want %q", i+1, rows[i], want[i])
		}
	}
}
