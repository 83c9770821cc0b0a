package mapping

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func faultsOf(t *testing.T, data []byte) Faults {
	t.Helper()
	doc, err := Decode(data)
	if err == nil {
		t.Fatalf("Decode accepted the document:\n%.500s", data)
	}
	if doc != nil {
		t.Error("Decode returned a document beside an error")
	}
	faults, ok := errors.AsType[Faults](err)
	if !ok || len(faults) == 0 {
		t.Fatalf("Decode returned %T %v, want Faults", err, err)
	}
	return faults
}

func mustDecode(tb testing.TB, text string) *Document {
	tb.Helper()
	doc, err := Decode([]byte(text))
	if err != nil {
		tb.Fatalf("Decode: %v", err)
	}
	return doc
}

func mustCompile(tb testing.TB, text string) *Compiled {
	tb.Helper()
	c, err := Compile(mustDecode(tb, text))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// TestDecode_Mistakes holds one file for each mistake; the text beside it is what the author is told.
func TestDecode_Mistakes(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.bad.*")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, path := range paths {
		ext := filepath.Ext(path)
		if ext == ".txt" {
			continue
		}
		cases++
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for _, fault := range faultsOf(t, data) {
				fmt.Fprintf(&text, "%d %q: %s\n", fault.Line, fault.Pointer, fault.Detail)
			}
			golden(t, strings.TrimSuffix(path, ext)+".txt", text.String())
		})
	}
	if cases < 30 {
		t.Errorf("found %d mistakes in testdata", cases)
	}
}

func TestDecode_SixFaultsAtOnce(t *testing.T) {
	data, err := os.ReadFile("testdata/six-faults.bad.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var pointers []string
	for _, fault := range faultsOf(t, data) {
		pointers = append(pointers, fault.Pointer)
	}
	want := []string{
		"/gpustack_metrics/gpustack:num_requests_running/type",
		"/gpustack_metrics/gpustack:prompt-tokens",
		"/gpustack_metrics/gpustack:generation_tokens/unity",
		"/runtime_mapping/vLLM/>=0.9,<eleven",
		"/runtime_mapping/vLLM/*/vllm:generation_tokens",
		"/runtime_mapping/vLLM/*/vllm:num_requests_waiting",
	}
	if diff := cmp.Diff(want, pointers); diff != "" {
		t.Errorf("pointers (-want +got):\n%s", diff)
	}
}

func TestDecode_SameFaultsInJSONAndYAML(t *testing.T) {
	text := `{"gpustack_metrics": {"gpustack:x": {"type": "gauges"}, "gpustack:x": {}}, "runtime_mapping": {"a/b~c": {"*": {"y": "gpustack:z"}}}}`
	inJSON := faultsOf(t, []byte(text))
	inYAML := faultsOf(t, []byte("# YAML\n"+text))
	for i := range inYAML {
		inYAML[i].Line-- // of the comment
	}
	if diff := cmp.Diff(inJSON, inYAML); diff != "" {
		t.Errorf("faults (-JSON +YAML):\n%s", diff)
	}
	if got, want := inJSON[len(inJSON)-1].Pointer, "/runtime_mapping/a~1b~0c/*/y"; got != want {
		t.Errorf("pointer = %s, want %s", got, want)
	}
}

// Lines of JSON are counted to the value or the key that is wrong, whatever the document's line ends are.
func TestDecode_LinesOfJSON(t *testing.T) {
	const text = `
{
  "gpustack_metrics": {
    "a": {"type": "gauge", "description": "a\nb\u000a"},
    "b": {
      "type":

        "gague"
    },
    "b": {"type": "gauge"}},
  "runtime_mapping": {"vLLM": {"*": {
    "n": [
      "a",
      "c"
    ]
  }}}
}`
	want := []string{
		`line 8: /gpustack_metrics/b/type: found "gague"`,
		`line 10: /gpustack_metrics/b: found the key "b" again`,
		`line 14: /runtime_mapping/vLLM/*/n/1: found "c"`,
	}
	for _, text := range []string{text, "\ufeff" + text, strings.ReplaceAll(text, "\n", "\r\n")} {
		faults := faultsOf(t, []byte(text))
		if len(faults) != len(want) {
			t.Fatalf("%d faults: %v", len(faults), faults)
		}
		for i, fault := range faults {
			if !strings.HasPrefix(fault.String(), want[i]) {
				t.Errorf("fault %q, want %q", fault, want[i])
			}
		}
	}
	// A document on one line says so, too.
	if got := faultsOf(t, []byte(`{"gpustack_metrics": 1, "runtime_mapping": {}}`))[0].Line; got != 1 {
		t.Errorf("line %d of a document of one line", got)
	}
}

func TestDecode_Bounds(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	tests := []struct {
		name, text, want string
	}{
		{"bytes", strings.Repeat(" ", MaxDocumentBytes) + "{}", "found 4194306 bytes, allowed are 4194304"},
		{"values in JSON", `{"gpustack_metrics": [` + many(maxNodes, "%d") + `], "runtime_mapping": {}}`, "more than 50000 values"},
		{"values in YAML", `gpustack_metrics: [` + many(maxNodes, "%d") + `]`, "more than 50000 values"},
		{"marks in YAML", `gpustack_metrics: [` + strings.Repeat(",", maxYAMLMarks) + `]`, "lines and separators"},
		{"families", `{"gpustack_metrics": {` + many(maxFamilies+1, `"m%d": {"type": "gauge"}`) + `}, "runtime_mapping": {}}`, "found 1001 metrics, allowed are 1000"},
		{"name", `{"gpustack_metrics": {"` + strings.Repeat("a", maxNameBytes+1) + `": {"type": "gauge"}}, "runtime_mapping": {}}`, "a name of 257 bytes, allowed are 256"},
		{"description", `{"gpustack_metrics": {"a": {"type": "gauge", "description": "` + strings.Repeat("a", maxHelpBytes+1) + `"}}, "runtime_mapping": {}}`, "a description of 4097 bytes"},
		{"range", `{"gpustack_metrics": {}, "runtime_mapping": {"vLLM": {"` + strings.Repeat("<1,", 200) + `<1": {}}}}`, "a range has at most 256 bytes"},
		{"JSON depth", strings.Repeat("[", 20_000), "depth"},
		{"YAML depth", "a: " + strings.Repeat("[", 20_000), "depth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			faults := faultsOf(t, []byte(tt.text))
			if !strings.Contains(faults[0].Detail, tt.want) {
				t.Errorf("fault = %.300s, want %q in it", faults[0], tt.want)
			}
			for _, fault := range faults {
				if len(fault.Detail) > 4*clipBytes || len(fault.Pointer) > 4*clipBytes {
					t.Errorf("fault of %d + %d bytes", len(fault.Pointer), len(fault.Detail))
				}
			}
		})
	}
}

func TestDecode_AtMostMaxFaults(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"gpustack_metrics": {}, "runtime_mapping": {"vLLM": {"*": {`)
	for i := range 3000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"n%d": "missing%d"`, i, i)
	}
	b.WriteString(`}}}}`)
	faults := faultsOf(t, []byte(b.String()))
	if len(faults) != MaxFaults {
		t.Errorf("%d faults, want %d", len(faults), MaxFaults)
	}
	if text := faults.Error(); strings.Contains(text, "\n") || !strings.Contains(text, "and 997 more") {
		t.Errorf("Error() = %s", text)
	}
}

func TestDecode_AcceptsByteOrderMark(t *testing.T) {
	for _, text := range []string{
		"\ufeff{\"gpustack_metrics\": {}, \"runtime_mapping\": {}}",
		"\ufeffgpustack_metrics: {}\nruntime_mapping: {}\n",
		"\r\n{\"gpustack_metrics\": {},\r\n \"runtime_mapping\": {}}\r\n",
	} {
		mustDecode(t, text)
	}
}

func TestDecode_GoodDocuments(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.good.*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no good documents: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		doc := mustDecode(t, string(data))
		roundTrip(t, doc)
		roundTrip(t, doc.Effective())
	}
}

// roundTrip checks that both encodings decode to the same document.
func roundTrip(tb testing.TB, doc *Document) {
	tb.Helper()
	asJSON, err := doc.MarshalJSON()
	if err != nil {
		tb.Fatalf("MarshalJSON: %v", err)
	}
	asYAML, err := doc.EncodeYAML()
	if err != nil {
		tb.Fatalf("EncodeYAML: %v", err)
	}
	for _, data := range [][]byte{asJSON, asYAML} {
		again, err := Decode(data)
		if err != nil {
			tb.Fatalf("Decode of the encoded document: %v\n%s", err, data)
		}
		if !again.root.equal(doc.root) {
			tb.Fatalf("the encoded document is another one:\n%s", data)
		}
		twice, err := again.MarshalJSON()
		if err != nil {
			tb.Fatal(err)
		}
		if !bytes.Equal(twice, asJSON) {
			tb.Fatalf("encoding is not stable:\n%s\n%s", asJSON, twice)
		}
	}
}
