package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// livePage is a page of an engine as its worker answers with it.
func livePage(version, native string, unmapped ...wire.NativeReport) wire.InstancePage {
	running := wire.NativeReport{
		Name: "vllm:num_requests_running", Type: "gauge", Samples: 1,
		Outcomes: []wire.NativeOutcome{{Family: "gpustack:num_requests_running", Samples: 1}},
	}
	metrics := append([]wire.NativeReport{running}, unmapped...)
	return wire.InstancePage{Runtime: "vLLM", RuntimeVersion: version, ContentType: "text/plain", Native: native, Bytes: len(native), Metrics: metrics, Coverage: &wire.Coverage{Families: 1, Of: 28}}
}

const nativeText = `# HELP vllm:odd_tokens Tokens that are \\odd\\.
# TYPE vllm:odd_tokens counter
vllm:odd_tokens_total{model_name="qwen"} 4
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="qwen"} 3
`

func engines() fakeWorker {
	report := func(name, version string) wire.InstanceReport {
		return wire.InstanceReport{Name: name, Model: "qwen", Runtime: "vLLM", RuntimeVersion: version, State: "running"}
	}
	odd := func(samples int) wire.NativeReport {
		return wire.NativeReport{Name: "vllm:odd_tokens", Type: "counter", Samples: samples}
	}
	return fakeWorker{
		instances: []wire.InstanceReport{report("qwen-0", "0.11.0"), report("qwen-1", "0.11.0"), report("qwen-2", "0.11.0"), report("qwen-3", "0.12.0"), report("qwen-4", "0.11.0"), report("qwen-5", "0.11.0")},
		pages: map[string]wire.InstancePage{
			"qwen-0": livePage("0.11.0", nativeText, odd(1), wire.NativeReport{Name: "plain", Samples: 2}),
			"qwen-1": livePage("0.11.0", nativeText, odd(3), wire.NativeReport{Name: "plain", Samples: 2}),
			"qwen-2": {Error: "connection refused", Metrics: []wire.NativeReport{}},
			"qwen-3": livePage("0.12.0", nativeText, odd(1)),
			"qwen-4": livePage("0.11.0", nativeText, odd(1), wire.NativeReport{Name: "plain", Samples: 2}),
			"qwen-5": livePage("0.11.0", ""),
		},
	}
}

func TestUnmapped(t *testing.T) {
	f := newFleet(t)
	f.join("node-1", engines())
	code, stdout, stderr := f.run("mapping", "unmapped")
	const want = `vLLM 0.11.0 (qwen-0, qwen-1, qwen-4): 2 metrics not mapped

METRIC           TYPE     SAMPLES  HELP
vllm:odd_tokens  counter  1-3      Tokens that are \odd\.
plain            -        2

vLLM 0.12.0 (qwen-3): 1 metric not mapped

METRIC           TYPE     SAMPLES  HELP
vllm:odd_tokens  counter  1        Tokens that are \odd\.

vLLM 0.11.0 (qwen-5): every metric is mapped
`
	if diff := cmp.Diff(want, stdout); diff != "" || code != 0 {
		t.Errorf("exit code %d, %s", code, diff)
	}
	if stderr != "qwen-2 on node-1: instance qwen-2: connection refused\n" {
		t.Errorf("it said %q", stderr)
	}
	f.must(1, []string{"mapping", "unmapped", "qwen-2"}, "connection refused")
	f.must(0, []string{"mapping", "unmapped", "4"}, "vLLM 0.12.0 (qwen-3): 1 metric")
	f.must(1, []string{"mapping", "unmapped", "qwen-33"}, `the server has no instance with the name or id "qwen-33"; did you mean "qwen-3"?`)
	f.must(1, []string{"mapping", "unmapped", "--yaml", "--json"}, "--yaml and --json can't be used together")
	answer := decodeAnswer[unmappedAnswer](t, f.must(0, []string{"mapping", "unmapped", "--json"}))
	if len(answer.Blocks) != 3 || len(answer.Blocks[0].Instances) != 3 || answer.Blocks[0].Metrics[0].Samples != 3 || answer.Blocks[0].Metrics[0].Fewest != 1 || len(answer.Errors) != 1 || answer.Errors[0].Name != "qwen-2" {
		t.Errorf("%+v", answer)
	}
	printed := f.must(0, []string{"mapping", "unmapped", "--yaml"}, "## vLLM 0.11.0 (qwen-0, qwen-1, qwen-4): 2 metrics\n",
		"\nextends: default\n# gpustack_metrics:\n#   gpustack:odd_tokens: {type: counter, description: \"Tokens that are \\\\odd\\\\.\"}\n"+
			"#   gpustack:plain: {type: gauge, description: \"plain of vLLM\"}  # the page declares no such type\n"+
			"# runtime_mapping:\n#   vLLM:\n#     \"*\":\n#       vllm:odd_tokens: gpustack:odd_tokens\n#       plain: gpustack:plain\n")
	doc, err := mapping.Decode([]byte(printed))
	if err != nil || doc.Extends() != mapping.ExtendsDefault || len(mapping.Diff(doc.Effective(), mapping.Default())) > 0 {
		t.Errorf("as printed it changes something, or is not valid: %v", err)
	}
	doc = uncommented(t, printed)
	if differences := mapping.Diff(doc.Effective(), mapping.Default()); len(differences) != 4 {
		t.Errorf("with all its lines it is %v", differences)
	}
}

// uncommented decodes a document with all its suggestions.
func uncommented(t *testing.T, printed string) *mapping.Document {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(printed) {
		b.WriteString(strings.TrimPrefix(line, "# "))
	}
	doc, err := mapping.Decode([]byte(b.String()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	return doc
}

// Whatever engines call their metrics, the suggested document is valid with all its lines.
func TestSuggestedOverlayIsValid(t *testing.T) {
	metric := func(name, typ, help string) unmappedMetric { return unmappedMetric{Name: name, Type: typ, Help: help} }
	blocks := []unmappedBlock{
		{Runtime: "vLLM", RuntimeVersion: "0.11.0", Metrics: []unmappedMetric{
			metric("vllm:new_tokens_total", "counter", "Line one.\nLine \"two\": a # b \u2028 \x07"), metric("vllm:new_tokens", "gauge", "the same without _total"),
			metric("vllm:num_requests_running", "gauge", "the built-in document has it"), metric("vllm:prompt_tokens_by_size", "gaugehistogram", ""),
			metric("vllm:build", "info", ""), metric("vllm:hist", "histogram", ""), metric("vllm:hist_count", "gauge", "its samples are called like those of the one before"),
			metric("vllm:time_to_first_token_seconds", "counter", ""), metric("process_cpu_seconds_total", "counter", ""), metric("go_goroutines", "gauge", ""),
			metric("vllm:worker_node_up", "gauge", ""), metric("yes", "gauge", ""), metric("y", "untyped", ""), metric("null", "", ""), metric("x:", "gauge", ""), metric(":x", "gauge", ""),
			metric("1x", "gauge", ""), metric("Ümlaut", "gauge", ""), metric("with space", "gauge", ""), metric("vllm:UPPER", "summary", strings.Repeat("ä", 9000)), metric("_total", "counter", ""),
			metric(strings.Repeat("long_", 200), "gauge", ""), metric("a/b~c", "gauge", ""), metric(":", "gauge", ""), metric("vllm:prompt_tokens_created", "gauge", ""),
		}},
		{Runtime: "VLLM", Metrics: []unmappedMetric{metric("vllm:new_tokens", "counter", "")}},
		{Runtime: "odd: \"engine\" # 1", Metrics: []unmappedMetric{metric("odd:new_tokens_total", "counter", "shares the name"), metric("odd:hist", "gauge", "another type")}},
		{Runtime: "", Metrics: []unmappedMetric{metric("nobody", "gauge", "")}},
	}
	o, err := suggest(blocks, mapping.Default())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := o.print(&b, blocks, "Note\nof two lines."); err != nil {
		t.Fatal(err)
	}
	doc := uncommented(t, b.String())
	if err := func() error { _, err := mapping.Compile(doc); return err }(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"#       vllm:new_tokens_total: gpustack:new_tokens\n", "#       odd:new_tokens_total: gpustack:new_tokens\n", "#       odd:hist: gpustack:odd_engine_1_hist\n",
		"#       \"yes\": gpustack:yes\n", "#       \"null\": gpustack:null\n", "#       vllm:UPPER: gpustack:upper\n", "#       go_goroutines: gpustack:go_goroutines\n",
		"## left out: vllm:num_requests_running of vLLM: the built-in document maps it\n",
		"## left out: vllm:prompt_tokens_by_size of vLLM: no unified metric can be a gaugehistogram\n",
		"## left out: 1 metric named *_created, the times at which others began\n", "## Note of two lines.\n", "{type: gauge, description: \"vllm:build of vLLM\"}  # the page declares no such type\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it has no %q", want)
		}
	}
	for _, not := range []string{"gpustack:worker_node_up:", "\x07", "\u2028"} {
		if strings.Contains(b.String(), not) {
			t.Errorf("it has %q", not)
		}
	}
	if t.Failed() {
		t.Log(b.String())
	}
}

func TestTranslateInstance(t *testing.T) {
	f := newFleet(t)
	f.join("node-1", engines())
	const unified = `gpustack:num_requests_running{runtime="vLLM",model_name="qwen"} 3` + "\n"
	f.must(0, []string{"mapping", "translate", "qwen-0"}, unified, "qwen-0 (id 1) on node-1: vLLM 0.11.0, mapping: generation 0, which is active\n")
	f.must(0, []string{"mapping", "translate", "4", "--version", "0.9"}, unified, "qwen-3 (id 4) on node-1: vLLM 0.9, mapping")
	f.must(0, []string{"mapping", "translate", "qwen-0", "--mapping", "@default"}, unified, "mapping: the server's built-in document\n")
	doc := writeFile(t, "my.yaml", "extends: default\ngpustack_metrics: {gpustack:odd: {type: counter, description: Odd.}}\nruntime_mapping: {vLLM: {\"*\": {vllm:odd_tokens: gpustack:odd}}}\n")
	f.must(0, []string{"mapping", "translate", "qwen-0", "--mapping", doc}, unified, `gpustack:odd_total{runtime="vLLM",model_name="qwen"} 4`+"\n", "my.yaml\n")
	f.must(0, []string{"mapping", "translate", "qwen-0", "--explain", "--mapping", doc}, "vllm:odd_tokens", "gpustack:odd_total")
	f.must(1, []string{"mapping", "translate", "qwen-2"}, "instance qwen-2: connection refused")
	f.must(1, []string{"mapping", "translate", "qwen-9"}, "there is no file qwen-9, and no such instance: the server has no instance with the name or id", "did you mean")
	f.must(1, []string{"mapping", "translate", "./qwen-0"}, "open ./qwen-0: no such file")
	// A file of the name of an instance is the file.
	dir := t.TempDir()
	t.Chdir(dir)
	writeIn(t, "qwen-0", "sglang:num_running_reqs 7\n")
	f.must(0, []string{"mapping", "translate", "qwen-0"}, `gpustack:num_requests_running{runtime="SGLang"} 7`, "qwen-0: taken as a page of SGLang, which maps 1 metric of it")
}
