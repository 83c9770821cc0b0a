package mapping

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A stored overlay that no longer fits a newer built-in document keeps what does.
func TestDecodeStored(t *testing.T) {
	const overlay = `{"extends": "default", "gpustack_metrics": {"newer": {"type": "gauge"}}, "runtime_mapping": {"vLLM": {"*": {"mine": "newer", "v_gone": null}}, "Gone": {"*": {"x": null}}}}`
	builtin := strings.Replace(overlayBase, "  tokens:\n", "  newer: {type: histogram}\n  tokens:\n", 1)
	builtin = strings.Replace(builtin, "      v_running: running\n", "      v_running: [running, {to: newer, scale: 2}]\n      v_newer: [newer]\n      v_more: newer\n", 1)
	base := mustDecode(t, builtin)
	if _, err := DecodeOver([]byte(overlay), base); err == nil {
		t.Error("Decode takes what does not fit")
	}
	doc, left, err := DecodeStored([]byte(overlay), base)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, fault := range left {
		got = append(got, fault.Pointer)
	}
	slices.Sort(got)
	want := []string{"/gpustack_metrics/newer/type", "/runtime_mapping/Gone/*/x", "/runtime_mapping/vLLM/*/v_gone"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	roundTrip(t, doc.Effective())
	text, err := doc.Effective().EncodeYAML()
	if err != nil {
		t.Fatal(err)
	}
	wantText := "    \"*\":\n      mine: newer\n      v_running:\n        - running\n      v_tokens:\n"
	if !strings.Contains(string(text), wantText) {
		t.Errorf("effective is\n%s", text)
	}
	compiled, err := Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	plan := compiled.Plan("vLLM", "")
	if len(plan.Lookup([]byte("v_running"))) != 1 || plan.Lookup([]byte("v_newer")) != nil || len(plan.Lookup([]byte("mine"))) != 1 {
		t.Error("the plan is another one than the document")
	}
	for text, want := range map[string]string{
		`{"extends": "default", "gpustack_metrics": 1}`:  "found the number 1",
		`{"gpustack_metrics": 1, "runtime_mapping": {}}`: "found the number 1",
		`{`: "no valid JSON",
	} {
		if _, _, err := DecodeStored([]byte(text), base); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if doc, left, err := DecodeStored([]byte(nineLines), base); err != nil || left != nil || doc.Extends() != "" {
		t.Errorf("a document without extends: %v, %v", left, err)
	}
}
