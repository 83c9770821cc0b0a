package mapping

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
)

const targetDocument = `
gpustack_metrics:
  running: {type: gauge, description: Running.}
  requests: {type: counter, description: Requests.}
  ttft: {type: histogram, description: TTFT.}
runtime_mapping:
  Engine:
    "*":
      a: {to: running, match: {x: ["1", "2"], y: "!z"}, ignore: [-1, 0.5], scale: 1e-3, rename: {x: w}, drop: y, add: {v: "7"}, approx: true}
      b:
        - {to: requests, match: {model: ensemble}}
        - {to: requests, match: {model: ""}, sum_over: [a, b]}
        - {to: running, value_from: [n, m], keep: k}
      c_seconds: {to: requests, as: sum}
      d: {to: running, since: "1.0", until: "2.0"}
      g: {to: running, max_over: [tp_rank, pp_rank], sum_by: user}
      e: [{to: running, until: "1.0"}, {to: requests, as: cumulative}]
  Other:
    "*": {f: {to: running, approx: another thing}}
name_aliases:
  engine: {"proxy_": "", "p:": "e"}
`

func TestTarget(t *testing.T) {
	c := mustCompile(t, strings.Replace(targetDocument, `"proxy_": "", `, "", 1))
	plan := c.Plan("Engine", "1.5")
	for native, want := range map[string][]Target{
		"a": {{Family: 0, Rank: 0, Change: &Change{
			Match:  []Match{{Label: "x", Values: []string{"1", "2"}}, {Label: "y", Values: []string{"z"}, Not: true}},
			Ignore: []float64{-1, 0.5}, Scale: 0.001, Drop: []string{"y"}, Rename: []Rename{{"x", "w"}}, Add: []Add{{"v", "7"}},
		}}},
		"b_total": {
			{Family: 1, Rank: 0, Change: &Change{Match: []Match{{Label: "model", Values: []string{"ensemble"}}}, Scale: 1}},
			{Family: 1, Rank: 1, Change: &Change{Match: []Match{{Label: "model", Values: []string{""}}}, Scale: 1, Drop: []string{"a", "b"}, Sum: true}},
			{Family: 0, Rank: 1, Change: &Change{ValueFrom: []string{"n", "m"}, Scale: 1, Keep: []string{"k"}}},
		},
		"c_seconds": {{Family: 1, Rank: 2, As: AsSum}},
		"d":         {{Family: 0, Rank: 2}},
		"e":         {{Family: 1, Rank: 3}},
		"g":         {{Family: 0, Rank: 3, Change: &Change{Scale: 1, Keep: []string{"user"}, Sum: true, MaxOver: []string{"tp_rank", "pp_rank"}}}},
		"p:":        {{Family: 1, Rank: 3}},
		"p:x":       nil,
		"f":         nil,
	} {
		if diff := cmp.Diff(want, plan.Lookup([]byte(native))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", native, diff)
		}
	}
	for version, want := range map[string][2]bool{"0.9": {false, true}, "1.0": {true, false}, "2.0": {false, false}, "": {false, false}, "nightly": {false, false}} {
		plan := c.Plan("Engine", version)
		got := [2]bool{len(plan.Lookup([]byte("d"))) == 1, len(plan.Lookup([]byte("e"))) == 2}
		if got != want {
			t.Errorf("version %q: since 1.0 until 2.0, and until 1.0: %v, want %v", version, got, want)
		}
	}
	if got := c.Families()[0].Help; got != "Running (approximate: Engine, Other)." {
		t.Errorf("help: %q", got)
	}
	name := []byte("p:")
	if n := testing.AllocsPerRun(100, func() { plan.Lookup(name) }); n != 0 {
		t.Errorf("%v allocations to look an alias up", n)
	}
}

func TestSumBy(t *testing.T) {
	document := func(target string) string {
		return "gpustack_metrics: {c: {type: counter}, s: {type: summary}}\nruntime_mapping: {E: {\"*\": {n: " + target + "}}}\n"
	}
	c := mustCompile(t, document("{to: c, sum_by: [a, b], rename: {a: z}}"))
	want := []Target{{Family: 0, Change: &Change{Scale: 1, Keep: []string{"a", "b"}, Sum: true, Rename: []Rename{{"a", "z"}}}}}
	if diff := cmp.Diff(want, c.Plan("E", "").Lookup([]byte("n"))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for target, want := range map[string]string{
		"{to: c, sum_by: a, keep: b}":     "keep",
		"{to: c, sum_by: a, drop: b}":     "does not go with sum_by",
		"{to: c, sum_by: a, sum_over: b}": "does not go with sum_by",
		"{to: c, keep: a, sum_over: b}":   "does not go with keep",
		"{to: s, sum_by: a}":              "quantiles cannot be added up",
		"{to: c, sum_by: []}":             "found a list of 0",
		"{to: c, sum_by: le}":             "le",
	} {
		if _, err := Decode([]byte(document(target))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", target, err, want)
		}
	}
}

func TestCore(t *testing.T) {
	if got := compileDefault(t).Plan("vLLM", "").Core(); len(got) != 28 {
		t.Errorf("%d families of the built-in document count", len(got))
	}
	own := "gpustack_metrics: {a: {type: gauge}, b: {type: gauge}}\nruntime_mapping: {}\n"
	if diff := cmp.Diff([]int{0, 1}, mustCompile(t, own).Plan("vLLM", "").Core()); diff != "" {
		t.Errorf("of a document with other families (-want +got):\n%s", diff)
	}
	mixed := mustCompile(t, `
gpustack_metrics: {gpustack:gateway_requests: {type: counter}, gpustack:num_requests_running: {type: gauge}, other: {type: gauge}, gpustack:gateway_prompt_tokens: {type: counter}}
runtime_mapping:
  Gateway: {"*": {a: gpustack:gateway_requests, b: gpustack:gateway_requests}}
  Both: {"*": {a: gpustack:gateway_requests, b: gpustack:num_requests_running}}
  List: {"*": {a: [gpustack:gateway_requests, other]}}
  Later: {"<2": {a: gpustack:num_requests_running}, "*": {b: gpustack:gateway_requests}}
  Nothing: {}
`)
	for runtime, want := range map[string][]int{"Gateway": {0, 3}, "Both": {1}, "List": {1}, "Later": {0, 3}, "Nothing": {1}, "unknown": {1}} {
		if diff := cmp.Diff(want, mixed.Plan(runtime, "2.0").Core()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", runtime, diff)
		}
	}
	if diff := cmp.Diff([]int{1}, mixed.Plan("Later", "1.0").Core()); diff != "" {
		t.Errorf("a version that feeds both (-want +got):\n%s", diff)
	}
}

func TestDiff(t *testing.T) {
	a, err := Decode([]byte("gpustack_metrics: {a: {type: gauge}, b: {type: gauge}}\nruntime_mapping: {E: {\"*\": {x: a, y: a, z: {to: b, scale: 2}}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Decode([]byte("gpustack_metrics: {a: {type: gauge}, b: {type: counter}}\nruntime_mapping: {E: {\"*\": {x: a, z: {to: b, scale: 3}, w: a}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Difference{
		{"/gpustack_metrics/b/type", Changed, `"gauge"`, `"counter"`},
		{"/runtime_mapping/E/*/y", Removed, `"a"`, ""},
		{"/runtime_mapping/E/*/z", Changed, `{"to":"b","scale":2}`, `{"to":"b","scale":3}`},
		{"/runtime_mapping/E/*/w", Added, "", `"a"`},
	}
	if diff := cmp.Diff(want, Diff(a, b)); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	if got := Diff(a, a); len(got) != 0 {
		t.Errorf("a document differs from itself: %v", got)
	}
}

// TestSchema checks that the schema has the keys that the decoder has.
func TestSchema(t *testing.T) {
	var schema struct {
		Properties map[string]any `json:"properties"`
		Defs       struct {
			Target struct {
				Properties map[string]any `json:"properties"`
			} `json:"target"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(targetKeys())), slices.Sorted(maps.Keys(schema.Defs.Target.Properties))); diff != "" {
		t.Errorf("keys of a target (-decoder +schema):\n%s", diff)
	}
	if diff := cmp.Diff([]string{keyExtends, keyMetrics, keyQueries, keyAliases, keyMapping}, slices.Sorted(maps.Keys(schema.Properties))); diff != "" {
		t.Errorf("keys of a document (-decoder +schema):\n%s", diff)
	}
	if !bytes.HasSuffix(Schema(), []byte("}\n")) {
		t.Error("no newline at the end")
	}
	keys := map[string]string{}
	for key, value := range schema.Defs.Target.Properties {
		description, _ := value.(map[string]any)["description"].(string)
		if other := keys[description]; description == "" || other != "" {
			t.Errorf("%s is described by %q, as %q is", key, description, other)
		}
		keys[description] = key
	}
}

// A value that itself begins with ! is written with a backslash before it.
func TestMatch_EscapedNegation(t *testing.T) {
	c := mustCompile(t, `
gpustack_metrics: {running: {type: gauge, description: Running.}}
runtime_mapping: {Engine: {"*": {a: {to: running, match: {x: ["\\!y", z], w: "!\\!v"}}}}}`)
	want := []Match{{Label: "w", Not: true, Values: []string{"!v"}}, {Label: "x", Values: []string{"!y", "z"}}}
	if diff := cmp.Diff(want, c.Plan("Engine", "").Lookup([]byte("a"))[0].Change.Match); diff != "" {
		t.Error(diff)
	}
}

// The schema in docs is the one that the server gives.
func TestSchema_IsInTheDocumentation(t *testing.T) {
	committed, err := os.ReadFile("../../docs/metrics-config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(Schema()), string(committed)); diff != "" {
		t.Errorf("run make gen (-schema +docs):\n%s", diff)
	}
}

// Pointers of what was added, removed and changed are escaped, and what is in lists counts.
func TestDiff_Places(t *testing.T) {
	const families = "gpustack_metrics: {a: {type: gauge}, b: {type: gauge}}\n"
	a := mustDecode(t, families+"runtime_mapping: {E/1~: {\"*\": {x: [a, b], y: [a], z: [a, b], v: [a, b], u: {to: a, match: {l: [k]}}}}, F/: {}}\n")
	b := mustDecode(t, families+"name_aliases: {}\nruntime_mapping: {E/1~: {\"*\": {x: [a], y: [a, b], z: [b, a], v: [a, b], u: {to: a, match: {l: [k, j]}}}}, G~: {}}\n")
	want := []Difference{
		{"/runtime_mapping/E~11~0/*/x", Changed, `["a","b"]`, `["a"]`},
		{"/runtime_mapping/E~11~0/*/y", Changed, `["a"]`, `["a","b"]`},
		{"/runtime_mapping/E~11~0/*/z", Changed, `["a","b"]`, `["b","a"]`},
		{"/runtime_mapping/E~11~0/*/u", Changed, `{"to":"a","match":{"l":["k"]}}`, `{"to":"a","match":{"l":["k","j"]}}`},
		{"/runtime_mapping/F~1", Removed, `{}`, ""},
		{"/runtime_mapping/G~0", Added, "", `{}`},
		{"/name_aliases", Added, "", `{}`},
	}
	if diff := cmp.Diff(want, Diff(a, b)); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

func TestDiff_OfNoDocument(t *testing.T) {
	if d := Diff(nil, Default()); d != nil {
		t.Errorf("%v", d)
	}
}

// Of a target and its aliases: the first alias that leads to a native counts, in their order.
func TestAliases(t *testing.T) {
	long := strings.Repeat("n", maxNameBytes-1)
	c := mustCompile(t, `
gpustack_metrics: {one: {type: gauge}, two: {type: gauge}, three: {type: counter}}
runtime_mapping:
  Engine: {"*": {a_x: one, b_x: two, b_y: two, p_direct: three, e`+long+`: three}}
  Other: {"*": {a_x: one}}
name_aliases:
  ENGINE: {p_: a_, p_p: b_, p: b, proxy_: e}
`)
	want := map[string]string{
		"p_x": "one/0", "p_y": "two/1", "p_px": "two/0", "p_direct": "three/0", "p_z": "", "x": "", "p_": "", "P_x": "",
		"proxy_" + long: "three/1", "proxy_" + long + "_total": "three/1", "proxy_" + long + "n": "", "proxy_" + long + "_total_total": "", "proxy_" + strings.Repeat(long, 5): "",
	}
	natives := slices.Collect(maps.Keys(want))
	if diff := cmp.Diff(want, lookups(c.Plan("Engine", ""), natives...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := c.Plan("Other", "").Lookup([]byte("p_x")); got != nil {
		t.Errorf("another runtime's alias leads to %v", got)
	}
}

// A runtime is named once for each family that a target of it is close to, in the order of the document.
func TestHelp_Approximate(t *testing.T) {
	c := mustCompile(t, `
gpustack_metrics:
  running: {type: gauge, description: Running.}
  waiting: {type: gauge, description: Waiting}
  swapped: {type: gauge}
  gpustack:num_requests_running: {type: gauge}
  gpustack:num_requests_waiting: {type: gauge, description: ""}
runtime_mapping:
  Second: {"<1": {a: {to: running, approx: true}}, "*": {a: {to: running, approx: true}, b: {to: running, approx: why}}}
  First: {"*": {a: [{to: running, approx: yes}, {to: waiting, approx: false}, {to: swapped, approx: true}]}}
`)
	var got []string
	for _, f := range c.Families() {
		got = append(got, f.Help)
	}
	want := []string{"Running (approximate: Second, First).", "Waiting", "(approximate: First)", catalogHelp(t, "gpustack:num_requests_running"), ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("help (-want +got):\n%s", diff)
	}
}

func catalogHelp(t *testing.T, name string) string {
	t.Helper()
	for _, m := range catalog.Runtime {
		if m.Name == name {
			return m.Help
		}
	}
	t.Fatalf("%s is not in the catalog", name)
	return ""
}

// GPUStack's {name, scale} is {to, scale}.
func TestTarget_GPUStacksSpelling(t *testing.T) {
	document := func(key string) *Plan {
		return mustCompile(t, `
gpustack_metrics: {step_seconds: {type: gauge, description: Time., unit: seconds}, requests: {type: counter, unit: ""}}
runtime_mapping: {Engine: {"*": {a_ms: {`+key+`: step_seconds, scale: 0.001}, b: [{`+key+`: requests}, {`+key+`: step_seconds, drop: pid}]}, "<1.0": {a_s: step_seconds}}}`).Plan("Engine", "0.9")
	}
	ours, theirs := document(keyTo), document(keyName)
	for _, native := range []string{"a_ms", "b", "b_total", "a_s"} {
		got := theirs.Lookup([]byte(native))
		if diff := cmp.Diff(ours.Lookup([]byte(native)), got); diff != "" || len(got) == 0 {
			t.Errorf("%s (-to +name):\n%s", native, diff)
		}
	}
}

// A target with since.shown_by holds for an unknown version if the page shows it, for a known version as it is.
func TestShownBy(t *testing.T) {
	c := mustCompile(t, `
gpustack_metrics: {rate: {type: gauge}}
runtime_mapping: {Engine: {"*": {a: {to: rate, since: {version: "2.0", shown_by: [b_total, "p:c"]}}, old: {to: rate, fallback: true}}}}
name_aliases: {Engine: {"proxy_": "p:"}}`)
	for version, want := range map[string][]Target{
		"2.1": {{}}, "1.9": nil, "": {{ShownBy: 3}}, "nightly": {{ShownBy: 3}},
	} {
		if diff := cmp.Diff(want, c.Plan("Engine", version).Lookup([]byte("a"))); diff != "" {
			t.Errorf("version %q (-want +got):\n%s", version, diff)
		}
	}
	plan := c.Plan("Engine", "")
	if !plan.HasSeveralNatives(0) || c.Plan("Engine", "1.9").HasSeveralNatives(0) {
		t.Error("one unified metric has two candidates in version 2 and an unknown one, and one in version 1.9")
	}
	if got := plan.Lookup([]byte("old")); !got[0].Fallback {
		t.Errorf("fallback: %+v", got)
	}
	for sample, want := range map[string]uint64{"b": 1, "b_total": 1, "b_bucket": 1, "p:c": 2, "proxy_c_sum": 2, "bb": 0, "proxy_cc": 0} {
		if got := plan.Shows([]byte(sample)); got != want {
			t.Errorf("%s shows %d, want %d", sample, got, want)
		}
	}
}
