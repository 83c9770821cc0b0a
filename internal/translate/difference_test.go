package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

func compileText(t *testing.T, document string) *mapping.Compiled {
	t.Helper()
	doc, err := mapping.Decode([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := mapping.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func differenceDocument(families, targets string) string {
	return "gpustack_metrics:\n" + families + "runtime_mapping:\n  Test:\n    \"*\":\n" + targets
}

const differencePage = `running{b="2",a="1"} 3
running{b="x, y\"}",a="1"} 4
running{b="only here",a="1",user=""} 5.0
waiting 7
tokens_total 12
nothing NaN
`

var (
	beforeDocument = differenceDocument(
		"  gpustack:running: {type: gauge, description: Running.}\n  gpustack:waiting: {type: gauge, description: Waiting.}\n"+
			"  gpustack:tokens_total: {type: gauge, description: Tokens.}\n  gpustack:nothing: {type: gauge, description: None.}\n",
		"      running: gpustack:running\n      waiting: gpustack:waiting\n      tokens_total: gpustack:tokens_total\n      nothing: gpustack:nothing\n")
	afterDocument = differenceDocument(
		"  gpustack:running: {type: gauge, description: Running.}\n  gpustack:queued: {type: gauge, description: Queued.}\n"+
			"  gpustack:tokens: {type: counter, description: Tokens so far.}\n  gpustack:nothing: {type: gauge, description: None.}\n",
		"      running: {to: gpustack:running, match: {b: \"2\"}, scale: 10}\n"+
			"      waiting: {to: gpustack:queued, add: {c: d}}\n      tokens_total: gpustack:tokens\n      nothing: {to: gpustack:nothing, scale: 2}\n")
)

func translated(compiled *mapping.Compiled, page string) *translate.Result {
	var result translate.Result
	result.Translate([]byte(page), translate.Text, compiled.Plan("Test", ""), translate.NewSource([]translate.Label{{Name: "runtime", Value: "Test"}}))
	return &result
}

func TestCompare(t *testing.T) {
	before, after := translated(compileText(t, beforeDocument), differencePage), translated(compileText(t, afterDocument), differencePage)
	all := translate.ListLimits{Series: 100, Bytes: 1 << 20}
	got := translate.Compare(before, after, all)
	want := translate.Difference{
		Added: 1, Removed: 3, Changed: 1,
		Families: []translate.FamilyDifference{
			{Name: "gpustack:queued", Added: 1},
			{Name: "gpustack:running", Removed: 2, Changed: 1},
			{Name: "gpustack:tokens_total", TypeBefore: "gauge", TypeAfter: "counter", HelpBefore: "Tokens.", HelpAfter: "Tokens so far."},
			{Name: "gpustack:waiting", Removed: 1},
		},
		Series: []translate.SeriesDifference{
			{Series: `gpustack:queued{runtime="Test",c="d"}`, After: "7"},
			{Series: `gpustack:running{runtime="Test",b="2",a="1"}`, Before: "3", After: "30"},
			{Series: `gpustack:running{runtime="Test",b="only here",a="1"}`, Before: "5.0"},
			{Series: `gpustack:running{runtime="Test",b="x, y\"}",a="1"}`, Before: "4"},
			{Series: `gpustack:waiting{runtime="Test"}`, Before: "7"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
	if same := translate.Compare(before, before, all); !cmp.Equal(same, translate.Difference{}) {
		t.Errorf("a page differs from itself: %+v", same)
	}
}

// The same labels in another order are the same series.
func TestCompareIgnoresTheOrderOfLabels(t *testing.T) {
	families := "  gpustack:x: {type: gauge, description: X.}\n"
	before := compileText(t, differenceDocument(families, "      x: {to: gpustack:x, rename: {a: c}}\n      y: {to: gpustack:x}\n"))
	after := compileText(t, differenceDocument(families, "      y: {to: gpustack:x}\n"))
	page := "x{b=\"2,}\\\"\",a=\"1\"} 3\ny{c=\"1\",b=\"2,}\\\"\"} 3.0\n"
	if d := translate.Compare(translated(before, page), translated(after, page), translate.ListLimits{}); !cmp.Equal(d, translate.Difference{}) {
		t.Errorf("%+v, want no difference", d)
	}
}

func TestCompareKeepsToItsLimits(t *testing.T) {
	families := "  gpustack:x: {type: gauge, description: X.}\n"
	before := compileText(t, differenceDocument(families, "      y: gpustack:x\n"))
	after := compileText(t, differenceDocument(families, "      x: gpustack:x\n"))
	var page strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&page, "x{i=\"%d\"} %d\n", i, i)
	}
	for _, limits := range []translate.ListLimits{{Series: 10, Bytes: 1 << 20}, {Series: 1000, Bytes: 10 * len(`gpustack:x{runtime="Test",i="10"}`)}} {
		d := translate.Compare(translated(before, page.String()), translated(after, page.String()), limits)
		if d.Added != 1000 || d.Families[0].Added != 1000 {
			t.Errorf("%d added, %+v: counts must be exact", d.Added, d.Families)
		}
		if n := len(d.Series); n < 9 || n > 10 {
			t.Errorf("%d series are listed, want about 10", n)
		}
	}
}

// On the pages of testdata, the comparison says what two sets of lines say.
func TestCompareAgreesWithSets(t *testing.T) {
	builtin, err := mapping.Compile(mapping.Default())
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range pageFiles(t) {
		was := builtin.Plan("vLLM", "0.11.0")
		var before, after translate.Result
		before.Translate(file.page, file.format, was, nil)
		after.Translate(file.page, file.format, file.plan, nil)
		lines := func(r *translate.Result, plan *mapping.Plan) map[string]bool {
			var w exposition.Writer
			translate.Merge(&w, plan.Families(), r)
			set := map[string]bool{}
			for line := range strings.Lines(string(w.Bytes())) {
				if at := strings.LastIndexByte(line, ' '); line[0] != '#' {
					set[line[:at]] = true
				}
			}
			return set
		}
		old, fresh := lines(&before, was), lines(&after, file.plan)
		d := translate.Compare(&before, &after, translate.ListLimits{Series: 1 << 20, Bytes: 1 << 30})
		// Where only the labels' order differs the sets say both; no page here has that.
		wantAdded, wantRemoved := 0, 0
		for s := range fresh {
			if !old[s] {
				wantAdded++
			}
		}
		for s := range old {
			if !fresh[s] {
				wantRemoved++
			}
		}
		if d.Added != wantAdded || d.Removed != wantRemoved || len(d.Series) != d.Added+d.Removed+d.Changed {
			t.Errorf("%s: %d added, %d removed, %d listed; want %d and %d", file.name, d.Added, d.Removed, len(d.Series), wantAdded, wantRemoved)
		}
		compared += wantAdded + wantRemoved
	}
	if compared == 0 {
		t.Error("nothing differs in any page")
	}
}
