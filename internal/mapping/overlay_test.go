package mapping

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nineLines is what a beginner writes: one metric of one runtime.
const nineLines = `gpustack_metrics:
  gpustack:num_requests_running:
    type: gauge
    description: Running.
runtime_mapping:
  vLLM:
    "*":
      vllm:num_requests_running: gpustack:num_requests_running
`

const overlayBase = `gpustack_metrics:
  running:
    type: gauge
  tokens:
    type: counter
    description: Tokens.
runtime_mapping:
  vLLM:
    <0.9:
      v_old: running
    "*":
      v_running: running
      v_tokens:
        to: tokens
        scale: 2
  SGLang:
    "*":
      s_running: running
name_aliases:
  vLLM:
    ray_: v_
`

func decodeOver(tb testing.TB, builtin, text string) *Document {
	tb.Helper()
	doc, err := DecodeOver([]byte(text), mustDecode(tb, builtin))
	if err != nil {
		tb.Fatalf("DecodeOver: %v", err)
	}
	return doc
}

func TestOverlay_Effective(t *testing.T) {
	// replaced returns the built-in document with some of its text replaced.
	replaced := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(overlayBase) }
	const (
		old  = "    <0.9:\n      v_old: running\n"
		star = "    \"*\":\n      v_running: running\n      v_tokens:\n        to: tokens\n        scale: 2\n"
	)
	tests := []struct{ name, overlay, want string }{
		{"nothing else", "extends: default", overlayBase},
		{
			"empty parts",
			"extends: default\ngpustack_metrics: {}\nruntime_mapping: {vLLM: {'*': {}, '<0.9': {}}, sglang: {}}\nname_aliases: {}",
			replaced(old+star, star+old),
		},
		{
			"a metric is replaced where it stands, in either spelling, and another one added at the end",
			"extends: default\ngpustack_metrics: {mine: {type: gauge}, tokens_total: {type: counter, description: Mine.}}",
			replaced("  tokens:\n    type: counter\n    description: Tokens.\n", "  tokens_total:\n    type: counter\n    description: Mine.\n  mine:\n    type: gauge\n"),
		},
		{
			"ranges and entries come before built-in ones; an entry is replaced in either spelling, or removed",
			"extends: default\nruntime_mapping:\n  VLLM:\n    '> 1': {v_new: running}\n    '*': {v_more: running, v_tokens_total: tokens, v_running: null}\n",
			replaced(old+star, "    '> 1':\n      v_new: running\n    \"*\":\n      v_more: running\n      v_tokens_total: tokens\n"+old),
		},
		{
			"a range without its spaces; a runtime that is new",
			"extends: default\nruntime_mapping: {Mine: {'*': {m: running}}, vLLM: {' < 0.9': {v_old_total: null, v_older: running}}}",
			replaced("v_old: running", "v_older: running", "      s_running: running\n", "      s_running: running\n  Mine:\n    \"*\":\n      m: running\n"),
		},
		{
			"aliases",
			"extends: default\nname_aliases: {vllm: {x_: v_, ray_: w_}, SGLang: {y_: s_}}",
			replaced("    ray_: v_\n", "    x_: v_\n    ray_: w_\n  SGLang:\n    y_: s_\n"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := decodeOver(t, overlayBase, tt.overlay)
			if doc.Extends() != ExtendsDefault || doc.Effective().Extends() != "" || doc.Effective().Effective() != doc.Effective() {
				t.Errorf("extends %q, its effective document %q", doc.Extends(), doc.Effective().Extends())
			}
			got, err := doc.Effective().EncodeYAML()
			if err != nil {
				t.Fatal(err)
			}
			want, err := mustDecode(t, tt.want).EncodeYAML()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("effective document (-want +got):\n%s", diff)
			}
			roundTrip(t, doc.Effective())
		})
	}
}

// What is posted is what is stored and shown.
func TestOverlay_IsWrittenAsPosted(t *testing.T) {
	const text = `{"extends":"default","runtime_mapping":{"vllm":{"*":{"vllm:num_requests_running":null,"mine_total":"gpustack:num_requests_running"}}}}`
	doc := mustDecode(t, text)
	got, err := doc.MarshalJSON()
	if err != nil || string(got) != text {
		t.Errorf("MarshalJSON = %s, %v", got, err)
	}
	asYAML, err := doc.EncodeYAML()
	if err != nil || !strings.Contains(string(asYAML), "vllm:num_requests_running: null\n") {
		t.Errorf("EncodeYAML = %s, %v", asYAML, err)
	}
	roundTrip(t, doc)
}

func TestOverlay_OfTheNineLineDocument(t *testing.T) {
	plain := mustDecode(t, nineLines)
	before := compileDefault(t)
	compile := func(doc *Document) *Compiled {
		c, err := Compile(doc)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if plain.Extends() != "" || plain.Effective() != plain {
		t.Error("a document without extends is taken for an overlay")
	}
	// By runtime, since another one loses the one metric, too.
	all := 0
	for i := range before.runtimes {
		all += len(before.fed(&before.runtimes[i]))
	}
	vanishing := Vanishing(before, compile(plain))
	pairs := 0
	for _, m := range vanishing {
		pairs += len(m.Runtimes)
		if m.Metric == "gpustack:num_requests_running" && slices.Contains(m.Runtimes, "vLLM") {
			t.Error("the metric that stays is said to vanish")
		}
	}
	if pairs != all-1 || len(vanishing) != len(before.Families()) {
		t.Errorf("%d pairs of a runtime and a metric vanish of %d, %d metrics of %d", pairs, all, len(vanishing), len(before.Families()))
	}

	overlay, err := plain.AsOverlay()
	if err != nil {
		t.Fatal(err)
	}
	if got := Vanishing(before, compile(overlay)); got != nil {
		t.Errorf("under the overlay vanishes %v", got)
	}
	if got := len(compile(overlay).Families()); got != len(before.Families()) {
		t.Errorf("%d metrics, %d are built in", got, len(before.Families()))
	}
	posted, err := overlay.MarshalJSON()
	if err != nil || !strings.HasPrefix(string(posted), `{"extends":"default","gpustack_metrics":`) {
		t.Errorf("posted is %.100s, %v", posted, err)
	}
	if again, err := overlay.AsOverlay(); again != overlay || err != nil {
		t.Errorf("an overlay as an overlay: %v", err)
	}
	if plain.root.get(keyExtends) != nil {
		t.Error("AsOverlay changed the document")
	}
}

func TestDecodeOverlay(t *testing.T) {
	const text = "runtime_mapping:\n  vLLM:\n    '*':\n      mine: gpustack:num_requests_running\n      vllm:num_requests_running: null\n"
	if _, err := Decode([]byte(text)); err == nil {
		t.Fatal("the document is valid alone")
	}
	doc, err := DecodeOverlay([]byte(text))
	if err != nil || doc.Extends() != ExtendsDefault {
		t.Fatalf("extends %q, %v", doc.Extends(), err)
	}
	roundTrip(t, doc)
	again, err := DecodeOverlay([]byte("extends: default\n" + text))
	if err != nil || !again.root.equal(doc.root) {
		t.Errorf("with extends it is another one: %v", err)
	}
	for text, want := range map[string]string{
		"":                "found an empty document",
		"[]":              "line 1: found a list, allowed is an object",
		"\n\nextends: me": `line 3: /extends: found "me", allowed is "default"`,
		"{\n\"runtime_mapping\": {\"vLLM\":\n{\"*\": {\"a\": \"b\"}}}}": `line 3: /runtime_mapping/vLLM/*/a: found "b", which neither`,
	} {
		if _, err := DecodeOverlay([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := mustDecode(t, `{"gpustack_metrics": {"gpustack:num_requests_running": {"type": "histogram"}}, "runtime_mapping": {}}`).AsOverlay(); err == nil {
		t.Error("AsOverlay takes a type that built-in targets do not fit")
	}
}

// An overlay takes up what a newer built-in document has.
func TestOverlay_UnderANewerBuiltInDocument(t *testing.T) {
	const overlay = `{"extends": "default", "gpustack_metrics": {"mine": {"type": "gauge"}}, "runtime_mapping": {"vLLM": {"*": {"v_mine": "mine", "v_tokens": null}}}}`
	newer := strings.Replace(overlayBase, "  tokens:\n", "  newer: {type: gauge}\n  tokens:\n", 1)
	newer = strings.Replace(newer, "      v_running: running\n", "      v_running: running\n      v_newer: newer\n", 1)
	compile := func(doc *Document) *Compiled {
		c, err := Compile(doc)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before, after := compile(decodeOver(t, overlayBase, overlay)), compile(decodeOver(t, newer, overlay))
	if got := Vanishing(before, after); got != nil {
		t.Errorf("the upgrade takes away %v", got)
	}
	want := []VanishingMetric{{Metric: "newer", Runtimes: []string{"vLLM"}}}
	if diff := cmp.Diff(want, Vanishing(after, before)); diff != "" {
		t.Errorf("the upgrade brings (-want +got):\n%s", diff)
	}
	if after.Plan("vLLM", "").Lookup([]byte("v_tokens")) != nil || after.Plan("vLLM", "").Lookup([]byte("v_mine")) == nil {
		t.Error("the overlay's own changes are lost")
	}
	// A built-in entry that an overlay removes can be gone in a newer document: the operator is told.
	without := strings.Replace(overlayBase, "      v_tokens:\n        to: tokens\n        scale: 2\n", "", 1)
	_, err := DecodeOver([]byte(overlay), mustDecode(t, without))
	if err == nil || !strings.Contains(err.Error(), `/runtime_mapping/vLLM/*/v_tokens: found null`) {
		t.Errorf("error %v", err)
	}
}

func TestOverlay_Bounds(t *testing.T) {
	list := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	families := maxFamilies - len(Default().families)
	values := maxNodes - Default().root.count()
	helpBytes := maxHelpBytes * 3 / 4
	for _, c := range []struct {
		name, text, want string
	}{
		{"families", `{"extends":"default","gpustack_metrics":{` + list(families, `"m%d":{"type":"gauge"},`) + `}}`, ""},
		{
			"one more family", `{"extends":"default","gpustack_metrics":{` + list(families+1, `"m%d":{"type":"gauge"},`) + `}}`,
			"line 1: /gpustack_metrics: found 1001 metrics, built-in ones included, allowed are 1000",
		},
		// Six values are extends, and the runtime with its range.
		{"values", `{"extends":"default","runtime_mapping":{"Mine":{"*":{` + list((values-6)/2, `"n%d":"gpustack:num_requests_running",`) + `}}}}`, ""},
		{
			"more values", `{"extends":"default","runtime_mapping":{"Mine":{"*":{` + list((values-6)/2+1, `"n%d":"gpustack:num_requests_running",`) + `}}}}`,
			"values, built-in ones included, allowed are 50000",
		},
		{
			"bytes", `{"extends":"default","metric_queries":{"a":"` + strings.Repeat("a", MaxDocumentBytes-len(`{"extends":"default","metric_queries":{"a":""}}`)) + `"}}`,
			"bytes as JSON, built-in entries included, allowed are 4194304",
		},
		{
			"escapes", "extends: default\ngpustack_metrics: {" + list(900, "m%d: {type: gauge, description: \""+strings.Repeat(`\0`, helpBytes)+"\"},") + "}\n",
			"found 5",
		},
	} {
		doc, err := Decode([]byte(c.text))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want == "":
			if _, err := doc.Effective().MarshalJSON(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		case err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %.300v, want %s", c.name, err, c.want)
		}
	}
}

// The built-in document is read by all overlays at once and changed by none.
func TestOverlay_LeavesTheBuiltInDocument(t *testing.T) {
	before, err := Default().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	plain := mustDecode(t, nineLines)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			text := fmt.Sprintf("extends: default\nruntime_mapping: {vllm: {'*': {vllm:num_requests_running: null, mine_%d: {to: gpustack:num_requests_running, fallback: True}}}}", i)
			doc, err := Decode([]byte(text))
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := Compile(doc); err != nil {
				t.Error(err)
			}
			if _, err := plain.AsOverlay(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	after, err := Default().MarshalJSON()
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the built-in document is another one: %v", err)
	}
	if Default().Extends() != "" || Default().Effective() != Default() {
		t.Error("the built-in document is an overlay")
	}
}

// The overlay in the documentation is valid, and does what its comments say.
func TestOverlay_OfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/mapping.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\nextends: ")
	document, _, found := strings.Cut("extends: "+rest, "```")
	if !found {
		t.Fatal("docs/mapping.md has no overlay")
	}
	doc := mustDecode(t, document)
	c, err := Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	plan := c.Plan("vLLM", "")
	if plan.Lookup([]byte("vllm:num_requests_swapped")) != nil || plan.Lookup([]byte("acme:lora_running")) == nil ||
		plan.Lookup([]byte("vllm:num_requests_running"))[0].Change == nil || plan.Lookup([]byte("vllm:num_requests_waiting")) == nil {
		t.Error("the overlay does something else")
	}
	before := compileDefault(t)
	want := []VanishingMetric{{Metric: "gpustack:num_requests_swapped", Runtimes: []string{"vLLM"}}}
	if diff := cmp.Diff(want, Vanishing(before, c)); diff != "" {
		t.Errorf("vanishes (-want +got):\n%s", diff)
	}
}

// A fault in a built-in entry, which an overlay caused, has no line of the author's document and comes last.
func TestOverlay_FaultInABuiltInEntry(t *testing.T) {
	const builtin = "gpustack_metrics: {a: {type: gauge}, a_sum: {type: gauge}}\nruntime_mapping: {}\n"
	const overlay = "\nextends: default\ngpustack_metrics:\n  a: {type: histogram}\n  b: {type: gague}\n"
	_, err := DecodeOver([]byte(overlay), mustDecode(t, builtin))
	want := `mapping document: 2 faults: line 5: /gpustack_metrics/b/type: found "gague", allowed are gauge, counter, histogram, summary; did you mean "gauge"?; ` +
		`/gpustack_metrics/a_sum: found "a_sum", whose samples would be called like those of "a" (in the built-in document)`
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v, want\n%s", err, want)
	}
}
