package translate_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stackscope/stackscope/internal/enginepages"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// compare translates a page with a new Result, twice, and with one that has seen another page, and compares each with the
// reference.
func compare(t *testing.T, page []byte, f translate.Format, plan *mapping.Plan, own []translate.Label) {
	t.Helper()
	want, wantStats := reference(page, f, plan, own)
	source := translate.NewSource(own)
	var fresh, used translate.Result
	used.Translate(otherPage, translate.Text, plan, source)
	for _, r := range []struct {
		name   string
		result *translate.Result
	}{{"first", &fresh}, {"again", &fresh}, {"after another page", &used}} {
		stats := r.result.Translate(page, f, plan, source)
		if (stats.FirstError != "") != (stats.ParseErrors > 0) {
			t.Errorf("%s: %d parse errors, first %q", r.name, stats.ParseErrors, stats.FirstError)
		}
		stats.FirstError = ""
		stats.InvalidHistograms = 0 // has tests of its own
		if diff := cmp.Diff(wantStats, stats); diff != "" {
			t.Errorf("%s: stats (-reference +translator):\n%s", r.name, diff)
		}
		var w exposition.Writer
		translate.Merge(&w, plan.Families(), r.result)
		got, err := readBack(w.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s: samples (-reference +translator):\n%s", r.name, diff)
		}
		checkPage(t, w.Bytes(), len(want))
	}
}

// otherPage leaves traces of other names and label blocks in a Result.
var otherPage = []byte("engine:running{a=\"1\"} 1\nengine:latency_seconds_bucket{a=\"1\",le=\"1\"} 1\nengine:latency_seconds_bucket{le=\"2\"} 1\n" +
	"engine:usage 1\nvllm:num_requests_running{engine=\"0\"} 1\nx 1\n")

// checkPage checks a page of ours as others read it: Prometheus as a whole, and the strictest parser with a notion of
// families. Of each family HELP and TYPE come once, before its samples.
func checkPage(t *testing.T, page []byte, samples int) {
	t.Helper()
	n, err := wholePage(page)
	if err != nil || n != samples {
		t.Fatalf("Prometheus reads %d samples, want %d: %v\n%s", n, samples, err, page)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(bytes.NewReader(page)); err != nil {
		t.Fatalf("a strict parser refuses the page: %v\n%s", err, page)
	}
	types, closed, current := map[string]string{}, map[string]bool{}, ""
	for line := range strings.Lines(string(page)) {
		family := ""
		if words := strings.Fields(line); words[0] == "#" {
			family = words[2]
			if words[1] == "TYPE" {
				types[family] = words[3]
			}
		} else {
			family = familyOf(refName.FindString(line), types)
		}
		if family == current {
			continue
		}
		if closed[current] = true; closed[family] {
			t.Fatalf("family %s comes twice\n%s", family, page)
		}
		current = family
	}
}

// familyOf returns the family of a sample name, given the types of the families so far.
func familyOf(name string, types map[string]string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		family, ok := strings.CutSuffix(name, suffix)
		if ok && (types[family] == "histogram" || types[family] == "summary" && suffix != "_bucket") {
			return family
		}
	}
	return name
}

// plansFor are mappings to translate a page of a file with that name.
func plansFor(tb testing.TB, name string) map[string]*mapping.Plan {
	tb.Helper()
	plans := map[string]*mapping.Plan{"test": testMapping(tb).Plan("Test", "2.0")}
	for prefix, p := range map[string]struct {
		runtime  string
		versions []string
	}{
		"vllm":     {"vLLM", []string{"", "0.6.3", "0.8.5", "0.9.2", "0.10.0", "0.11.0rc1", "0.23.0"}},
		"sglang":   {"SGLang", []string{"", "0.4.4.post1", "0.5.2", "0.5.18"}},
		"mindie":   {"MindIE", []string{"", "2.3.0", "3.0.0"}},
		"nim":      {"NIM", []string{""}},
		"tgi":      {"TGI", []string{""}},
		"triton":   {"Triton", []string{""}},
		"trtllm":   {"trtllm-serve", []string{""}},
		"lmdeploy": {"LMDeploy", []string{""}},
	} {
		if strings.HasPrefix(name, prefix) {
			for _, version := range p.versions {
				plans[p.runtime+" "+version] = defaultMapping(tb).Plan(p.runtime, version)
			}
		}
	}
	return plans
}

func TestReferenceAgreesOnTestdata(t *testing.T) {
	for _, p := range pageFiles(t) {
		t.Run(p.name, func(t *testing.T) {
			compare(t, p.page, p.format, p.plan, p.labels)
			for name, plan := range plansFor(t, p.name) {
				t.Run(name, func(t *testing.T) { compare(t, p.page, p.format, plan, p.labels) })
			}
		})
	}
}

func TestReferenceAgreesOnEnginePages(t *testing.T) {
	enginepages.Each(t, func(t *testing.T, p enginepages.Page) { //nolint:thelper // the body of a test: its own lines are wanted
		f := translate.DetectFormat("", p.Text)
		for name, plan := range plansFor(t, p.Name) {
			t.Run(name, func(t *testing.T) {
				compare(t, p.Text, f, plan, instanceLabels("1"))
				samples, _ := reference(p.Text, f, plan, nil)
				if len(samples) == 0 && name != "test" && !strings.Contains(p.Name, "-vllm-backend") {
					t.Error("nothing is mapped")
				}
			})
		}
	})
}

// TestReferenceReadsPagesLikePrometheus checks the reference itself: a page that Prometheus reads as a whole has the same
// samples when it is read line by line.
func TestReferenceReadsPagesLikePrometheus(t *testing.T) {
	enginepages.Each(t, func(t *testing.T, p enginepages.Page) { //nolint:thelper // the body of a test: its own lines are wanted
		n, err := wholePage(p.Text)
		if err != nil {
			t.Logf("Prometheus does not read it as a whole: %v", err)
			return
		}
		samples, err := readBack(p.Text)
		if err != nil || len(samples) != n {
			t.Errorf("%d samples, as a whole %d: %v", len(samples), n, err)
		}
	})
}

// ownLabels are sets of labels that fuzzing chooses from.
var ownLabels = [][]translate.Label{
	nil,
	instanceLabels("1"),
	{{Name: "a", Value: "1"}, {Name: "exported_a", Value: "2"}, {Name: "cluster_id", Value: "1"}, {Name: "model", Value: "x\\y\"z\n"}},
	{{Name: "engine", Value: "0"}, {Name: "le", Value: "1"}, {Name: "b", Value: "\xff"}, {Name: "a", Value: ""}, {Name: "cluster", Value: "c"}},
}

// seedPages are what fuzzing starts from: the beginnings of the pages of testdata, and random ones.
func seedPages(tb testing.TB) [][]byte {
	tb.Helper()
	const size = 1000
	var pages [][]byte
	for _, p := range pageFiles(tb) {
		pages = append(pages, p.page[:min(len(p.page), size)])
	}
	for seed := range uint64(30) {
		page := randomPage(rand.New(rand.NewPCG(seed, 1)))
		pages = append(pages, page[:min(len(page), size)])
	}
	return pages
}

// FuzzTranslate compares the translator with the reference. The selector chooses mapping, labels and format.
func FuzzTranslate(f *testing.F) {
	for i, page := range seedPages(f) {
		f.Add(page, uint8(7*i))
	}
	f.Fuzz(func(t *testing.T, page []byte, selector uint8) {
		plan := testMapping(t).Plan("Test", []string{"1.0", "2.0"}[selector&1])
		switch selector >> 1 & 3 {
		case 1:
			plan = defaultMapping(t).Plan("vLLM", "0.9.2")
		case 2:
			plan = defaultMapping(t).Plan([]string{"SGLang", "MindIE"}[selector&1], "")
		}
		compare(t, page, translate.Format(selector>>3&1), plan, ownLabels[selector>>4&3])
	})
}

// FuzzRaw checks that native pages, of one instance and of two with different pages, are legal and complete.
func FuzzRaw(f *testing.F) {
	for i, page := range seedPages(f) {
		f.Add(page, []byte("engine:running 1\n# TYPE engine:tokens_total gauge\n"), uint8(i))
	}
	f.Fuzz(func(t *testing.T, first, second []byte, selector uint8) {
		format := translate.Format(selector & 1)
		raws, total := collectRaw(t, format, first, second)
		var w exposition.Writer
		translate.MergeRaw(&w, raws...)
		checkPage(t, w.Bytes(), total)
	})
}

// collectRaw takes pages, each with an instance of its own, and compares each with what Prometheus' parsers find in it. It
// returns the number of samples.
func collectRaw(t *testing.T, f translate.Format, pages ...[]byte) ([]*translate.Raw, int) {
	t.Helper()
	var raws []*translate.Raw
	total := 0
	for i, page := range pages {
		own := instanceLabels(fmt.Sprint(i))
		raw := new(translate.Raw)
		raw.Collect(otherPage, translate.Text, translate.NewSource(own))
		stats := raw.Collect(page, f, translate.NewSource(own))
		want := map[refSample]bool{}
		series := map[refSample]bool{}
		lines, _ := refLines(page, f)
		errors, duplicates := 0, 0
		for _, line := range lines {
			set, value, ok := refParse(line)
			if !ok {
				errors++
				continue
			}
			s := refSample{Name: set.Get("__name__"), Labels: refRender(refLabels(own, set))}
			if series[s] {
				duplicates++
				continue
			}
			series[s] = true
			s.Value = value
			want[s] = true
		}
		var w exposition.Writer
		translate.MergeRaw(&w, raw)
		got, err := readBack(w.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range got {
			if !want[s] {
				t.Fatalf("sample %v is not on the page", s)
			}
		}
		if len(got) != len(want) || stats.Samples != len(want) || stats.ParseErrors != errors || stats.Duplicates != duplicates || stats.Lines != len(lines) {
			t.Fatalf("%d samples written, want %d with %d errors and %d duplicates in %d lines; %+v", len(got), len(want), errors, duplicates, len(lines), stats)
		}
		checkPage(t, w.Bytes(), len(want))
		raws = append(raws, raw)
		total += len(want)
	}
	return raws, total
}

func TestRawAgreesWithPrometheus(t *testing.T) {
	for _, p := range pageFiles(t) {
		t.Run(p.name, func(t *testing.T) { collectRaw(t, p.format, p.page) })
	}
	together := func(t *testing.T, list []enginepages.Page) {
		t.Helper()
		var pages [][]byte
		for _, p := range list {
			pages = append(pages, p.Text)
		}
		raws, total := collectRaw(t, translate.Text, pages...)
		var w exposition.Writer
		translate.MergeRaw(&w, raws...)
		checkPage(t, w.Bytes(), total)
	}
	t.Run("together", func(t *testing.T) { together(t, enginepages.Own(t)) })
	t.Run("recorded together", func(t *testing.T) { together(t, enginepages.Recorded(t)) })
}
