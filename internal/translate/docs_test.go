package translate_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// tableRow is a row of docs/translation.md: a line of a page and what becomes of it.
var tableRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (`([^`]+)`)?.* \\| .*\\|$")

// TestDocumentedExample translates the page of docs/translation.md under its mapping.
func TestDocumentedExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/translation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	document, rest, _ := strings.Cut(rest, "```")
	decoded, err := mapping.Decode([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := mapping.Compile(decoded)
	if err != nil {
		t.Fatal(err)
	}
	var page, want []string
	for _, row := range tableRow.FindAllStringSubmatch(rest, -1) {
		page = append(page, row[1])
		if row[3] != "" { // the dots are the labels of the instance, which has none here
			want = append(want, strings.NewReplacer("{...,", "{", "{...}", "").Replace(row[3]))
		}
	}
	plan := compiled.Plan("vLLM", "")
	var r translate.Result
	stats := r.Translate([]byte(strings.Join(page, "\n")+"\n"), translate.Text, plan, nil)
	if diff := cmp.Diff(strings.Join(want, "\n")+"\n", unified(plan, &r)); diff != "" {
		t.Errorf("samples (-documented +got):\n%s", diff)
	}
	stats.FirstError = ""
	counts := translate.Stats{Lines: 9, Samples: 5, Families: 4, Unmapped: 1, UnmappedFamilies: 1, ParseErrors: 1, Duplicates: 1, Unselected: 1, InvalidHistograms: 1}
	if diff := cmp.Diff(counts, stats); diff != "" {
		t.Errorf("counts (-documented +got):\n%s", diff)
	}
}
