package translate_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/stackscope/stackscope/internal/enginepages"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// lintFaults returns what "promtool check metrics" says about a page, but for the colon that the specification asks for in names
// and for the spelling of engines' own labels, which are kept as they are.
func lintFaults(t *testing.T, page []byte) (faults []string) {
	t.Helper()
	problems, err := promlint.New(bytes.NewReader(page)).Lint()
	if err != nil {
		t.Errorf("no strict parser reads the page: %v", err)
	}
	for _, p := range problems {
		if !strings.Contains(p.Text, "':'") && !strings.Contains(p.Text, "label names should be written in 'snake_case'") {
			faults = append(faults, p.Metric+": "+p.Text)
		}
	}
	return faults
}

// TestRecordedPages holds what becomes of each recorded page of an engine: a file each with its coverage and, of each unified
// family, the type, how many series, their labels and a checksum of the lines in any order. The pages themselves lie outside of
// the repository, whose own have all that becomes of them beside them.
func TestRecordedPages(t *testing.T) {
	const folder = "testdata/captures"
	seen := map[string]bool{}
	for _, p := range enginepages.Recorded(t) {
		if p.Runtime == "" {
			continue
		}
		seen[p.Name+".txt"] = true
		t.Run(p.Name, func(t *testing.T) {
			plan := defaultMapping(t).Plan(p.Runtime, p.Version)
			var r translate.Result
			stats := r.Translate(p.Text, translate.DetectFormat("", p.Text), plan, translate.NewSource(instanceLabels("1")))
			var w exposition.Writer
			translate.Merge(&w, plan.Families(), &r)
			for _, fault := range lintFaults(t, w.Bytes()) {
				t.Error(fault)
			}
			fed, of := r.Coverage(plan)
			got := fmt.Sprintf("%s: %d of %d\n%s\n%s", strings.TrimSpace(p.Runtime+" "+p.Version), fed, of, describeStats(stats), digest(plan, w.Bytes()))
			file := filepath.Join(folder, p.Name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; -update makes it", err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("%s is of no recorded page", f.Name())
		}
	}
}

var labelName = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="`)

// digest says of each family what there is to see at a glance, and has a checksum for the rest.
func digest(plan *mapping.Plan, page []byte) string {
	type summary struct {
		labels map[string]bool
		series int
		sum    uint64
	}
	types, families := map[string]string{}, map[string]*summary{}
	for line := range strings.Lines(string(page)) {
		if words := strings.Fields(line); words[0] == "#" {
			if words[1] == "TYPE" {
				types[words[2]] = words[3]
				families[words[2]] = &summary{labels: map[string]bool{}}
			}
			continue
		}
		f := families[familyOf(refName.FindString(line), types)]
		f.series++
		for _, m := range labelName.FindAllStringSubmatch(line, -1) {
			f.labels[m[1]] = true
		}
		h := fnv.New64a()
		_, _ = h.Write([]byte(line))
		f.sum += h.Sum64() // in any order
	}
	own := map[string]bool{}
	for _, l := range instanceLabels("1") {
		own[l.Name] = true
	}
	var b strings.Builder
	for _, family := range plan.Families() {
		f := families[family.WireName]
		if f == nil {
			continue
		}
		maps.DeleteFunc(f.labels, func(name string, _ bool) bool { return own[name] })
		fmt.Fprintf(&b, "%-9s %-50s %5d %016x %s\n", types[family.WireName], family.WireName, f.series, f.sum, strings.Join(slices.Sorted(maps.Keys(f.labels)), ","))
	}
	return b.String()
}
