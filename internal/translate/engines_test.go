package translate_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stackscope/stackscope/internal/translate"
)

// sectionTruth holds what a page's unified metrics add up to, a line each: name{label="value"} and the sum of all series that have these
// labels, an empty value being no label, or "absent". It is written by hand.
const sectionTruth = "truth"

// TestEnginePages shows what the built-in mapping makes of pages that have the peculiar things of each engine.
func TestEnginePages(t *testing.T) {
	paths, err := filepath.Glob("testdata/engines/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pages in testdata/engines: %v", err)
	}
	for _, path := range paths {
		p := readPageFile(t, path)
		t.Run(p.name, func(t *testing.T) {
			var result translate.Result
			stats := result.Translate(p.page, p.format, p.plan, translate.NewSource(p.labels))
			unified := merge(&result, p)
			checkTruth(t, p.section(sectionTruth), unified)
			got := []txtar.File{
				{Name: sectionStats, Data: fmt.Appendf(nil, "%s\n", describeStats(stats))},
				{Name: sectionUnified, Data: unified},
			}
			if *update {
				p.archive.Files = append(p.written(), got...)
				if err := os.WriteFile(p.path, txtar.Format(p.archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range got {
				if diff := cmp.Diff(string(p.section(f.Name)), string(f.Data)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", f.Name, diff)
				}
			}
		})
	}
}

// written returns the sections that are written by hand.
func (p *pageFile) written() []txtar.File {
	if len(p.archive.Files) > 1 && p.archive.Files[1].Name == sectionTruth {
		return p.archive.Files[:2]
	}
	return p.archive.Files[:1]
}

// checkTruth compares sums of a page's series with those that are written by hand.
func checkTruth(t *testing.T, truth, page []byte) {
	t.Helper()
	samples, err := readBack(page)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(truth)) {
		line = strings.TrimSuffix(line, "\n")
		i := strings.LastIndexByte(line, ' ')
		series, want := line[:i], line[i+1:]
		name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
		sum, found := 0.0, false
		for _, s := range samples {
			if s.Name == name && hasLabels(s.Labels, labels) {
				v, err := strconv.ParseFloat(s.Value, 64)
				if err != nil {
					t.Fatal(err)
				}
				sum, found = sum+v, true
			}
		}
		got := strconv.FormatFloat(sum, 'g', -1, 64)
		if !found {
			got = "absent"
		}
		if v, err := strconv.ParseFloat(want, 64); found && err == nil && math.Abs(v-sum) <= 1e-9*math.Abs(v) {
			continue
		}
		if got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
}

// hasLabels reports whether a label set as text, {a="b", c="d"}, has each of the pairs a="b",c="d".
func hasLabels(set, pairs string) bool {
	set = ", " + strings.Trim(set, "{}") + ", "
	for pair := range strings.SplitSeq(pairs, ",") {
		name, empty := strings.CutSuffix(pair, `=""`)
		switch {
		case empty && strings.Contains(set, ", "+name+"="), !empty && pair != "" && !strings.Contains(set, ", "+pair+", "):
			return false
		}
	}
	return true
}
