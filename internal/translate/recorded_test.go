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

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

var recordedRuntimes = map[string]string{
	"vllm": "vLLM", "sglang": "SGLang", "mindie": "MindIE", "nim": "NIM", "tgi": "TGI", "triton": "Triton", "trtllm": "trtllm-serve", "lmdeploy": "LMDeploy",
}

// recordedAs returns the engine and version of a recorded page by its file's name, "" for what is no engine's.
func recordedAs(name string) (runtime, version string) {
	if strings.HasPrefix(name, "triton-vllm-") { // Triton with vLLM in it has vLLM's names
		return "vLLM", ""
	}
	prefix, rest, _ := strings.Cut(name, "-")
	version, _, _ = strings.Cut(rest, "-")
	if version == "" || version[0] < '0' || version[0] > '9' {
		version = ""
	}
	return recordedRuntimes[prefix], strings.Replace(version, ".x", ".0", 1)
}

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
// the repository.
func TestRecordedPages(t *testing.T) {
	paths, _ := filepath.Glob(filepath.Join(captures, "*.prom"))
	if len(paths) == 0 {
		t.Skipf("no pages of real engines in %s", captures)
	}
	const folder = "testdata/captures"
	seen := map[string]bool{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".prom")
		runtime, version := recordedAs(name)
		if runtime == "" {
			continue
		}
		seen[name+".txt"] = true
		t.Run(name, func(t *testing.T) {
			page, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			plan := defaultMapping(t).Plan(runtime, version)
			var r translate.Result
			stats := r.Translate(page, translate.DetectFormat("", page), plan, translate.NewSource(instanceLabels("1")))
			var w exposition.Writer
			translate.Merge(&w, plan.Families(), &r)
			for _, fault := range lintFaults(t, w.Bytes()) {
				t.Error(fault)
			}
			fed, of := r.Coverage(plan)
			got := fmt.Sprintf("%s: %d of %d\n%s\n%s", strings.TrimSpace(runtime+" "+version), fed, of, describeStats(stats), digest(plan, w.Bytes()))
			file := filepath.Join(folder, name+".txt")
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
