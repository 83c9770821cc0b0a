package mapping

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarshalJSON_KeepsOrderAndForm(t *testing.T) {
	text := `{"runtime_mapping":{"vLLM":{"<0.11.1":{"b_total":"z"},"*":{"b":{"to":"z_total"},"a":["y",{"to":"z"}]}},"A":{}},` +
		`"gpustack_metrics":{"z":{"description":"<&> \"é\"\n","type":"Counter"},"y":{"type":"gauge"}}}`
	doc := mustDecode(t, text)
	got, err := doc.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	roundTrip(t, doc)
	// Inside another value, encoding/json calls MarshalJSON and escapes <, > and &, which means the same.
	wrapped, err := json.Marshal(map[string]*Document{"config": doc})
	if err != nil {
		t.Fatal(err)
	}
	var unwrapped struct{ Config json.RawMessage }
	if err := json.Unmarshal(wrapped, &unwrapped); err != nil {
		t.Fatal(err)
	}
	if again := mustDecode(t, string(unwrapped.Config)); !again.root.equal(doc.root) {
		t.Errorf("changed inside another value: %s", wrapped)
	}
}

func TestEncodeYAML_KeepsOrderAndForm(t *testing.T) {
	text := `runtime_mapping:
  vLLM:
    <0.11.1:
      b_total: z
    "*":
      b:
        to: z_total
      a:
        - y
        - to: z
  "0.10": {}
  "null": {}
gpustack_metrics:
  z:
    description: |
      Two
      lines: "quoted"
    type: Counter
  y:
    type: gauge
`
	doc := mustDecode(t, text)
	got, err := doc.EncodeYAML()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	roundTrip(t, doc)
}

func TestEncode_OddTexts(t *testing.T) {
	for _, text := range []string{"", " ", "\n", "a\n", " a", "a ", "\ta", "a\r\nb\r", "# no comment", "null", "~", "yes", "1e3", "2024-01-02", "<<", "- a", "a: b", "&a *b", "\u0000\u0007\u007f\u0085\u2028\ufeff\ufffd", "%", "@", "`", "'\"", "---", "...", "🙂"} {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		doc := mustDecode(t, `{"gpustack_metrics":{"a":{"type":"gauge","description":`+string(quoted)+`}},"runtime_mapping":{}}`)
		if got := doc.families[0].description; got != text {
			t.Errorf("decoded %q as %q", text, got)
		}
		roundTrip(t, doc)
	}
}
