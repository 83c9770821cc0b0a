package translate_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/enginepages"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

var lastNumber = regexp.MustCompile(`(?m)^([a-zA-Z_:][^#\n]*[} ])([-+.0-9eE]+|NaN|[-+]?Inf)(\r?)$`)

// otherValues returns a page with other values in some of its lines: a part of them all, changed in length too, or one in
// a spelling that is seldom seen.
func otherValues(page []byte, r *rand.Rand) []byte {
	part := r.IntN(4)
	return lastNumber.ReplaceAllFunc(page, func(line []byte) []byte {
		if part < 3 && r.IntN(1<<(2*part)) != 0 {
			return line
		}
		m := lastNumber.FindSubmatch(line)
		var value string
		switch r.IntN(12) {
		case 0:
			value = "0"
		case 1:
			value = fmt.Sprint(r.Float64() * 1e6)
		case 2:
			value = []string{"NaN", "+Inf", "-Inf", "1e+06", "1e-300", "-3", "1e999", "x", "1_0", "-1.0", "5 1700000000000"}[r.IntN(11)]
		default:
			value = fmt.Sprint(r.IntN(1_000_000)) + ".0"
		}
		return []byte(string(m[1]) + value + string(m[3]))
	})
}

// sameAsFresh compares what a Result with a past makes of a page with what a new one makes of it.
func sameAsFresh(t *testing.T, used *translate.Result, page []byte, f translate.Format, plan *mapping.Plan, source *translate.Source) translate.Stats {
	t.Helper()
	var fresh translate.Result
	fresh.MaxSamples = used.MaxSamples
	want, got := fresh.Translate(page, f, plan, source), used.Translate(page, f, plan, source)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("stats (-new +with a past):\n%s\n%s", diff, page)
	}
	var w, g exposition.Writer
	translate.Merge(&w, plan.Families(), &fresh)
	translate.Merge(&g, plan.Families(), used)
	if diff := cmp.Diff(strings.Split(string(w.Bytes()), "\n"), strings.Split(string(g.Bytes()), "\n")); diff != "" {
		t.Fatalf("page (-new +with a past):\n%s\n%s", diff, page)
	}
	return got
}

// TestPageTemplate_ChangesNothing translates pages whose values change, and now and then their lines, and compares each
// translation with that of a new Result.
func TestPageTemplate_ChangesNothing(t *testing.T) {
	for _, p := range pageFiles(t) { // those of no engine, too
		t.Run(p.name, func(t *testing.T) { templateChangesNothing(t, p.name, p.page) })
	}
	enginepages.Each(t, func(t *testing.T, p enginepages.Page) { //nolint:thelper // the body of a test: its own lines are wanted
		templateChangesNothing(t, p.Name, p.Text)
	})
}

func templateChangesNothing(t *testing.T, name string, page []byte) {
	t.Helper()
	source := translate.NewSource([]translate.Label{{Name: "worker_name", Value: "node-1"}, {Name: "model_name", Value: "qwen"}})
	f := translate.DetectFormat("", page)
	for title, plan := range plansFor(t, name) {
		r := rand.New(rand.NewPCG(uint64(len(page)), 1))
		var used translate.Result
		var stats translate.Stats
		for range 3 {
			stats = sameAsFresh(t, &used, page, f, plan, source)
		}
		whole := stats.ParseErrors+stats.Duplicates+stats.OverLimit+stats.OverMemory == 0
		if n := translate.TemplateHits(&used); whole && stats.Samples > 0 && translate.PageTemplates() && n != 1 {
			t.Errorf("under %s: of 3 equal pages, %d matched a template, want the third", title, n)
		} else if !whole && n > 0 {
			t.Errorf("under %s: a page of which something was left out became a template: %+v", title, stats)
		}
		rounds := 12
		if len(page) > 32<<10 {
			rounds = 2
		}
		for i := range rounds {
			other := otherValues(page, r)
			if i%8 == 3 {
				at := r.IntN(len(other) + 1)
				other = append(other[:at:at], append([]byte("\nengine:running{a=\"9\"} 3\n"), other[at:]...)...)
			}
			sameAsFresh(t, &used, other, f, plan, source)
			if t.Failed() {
				t.Fatalf("under %s", title)
			}
		}
	}
}

// A page like the last one costs no allocation, and matches its template.
func TestPageTemplate_IsUsed(t *testing.T) {
	m, err := mapping.Compile(mapping.Default())
	if err != nil {
		t.Fatal(err)
	}
	plan, source := m.Plan("vLLM", "0.23.0"), translate.NewSource(nil)
	page := func(n int) []byte {
		return fmt.Appendf(nil, `# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0"} %d.0
vllm:kv_cache_usage_perc{engine="0"} 0.%d
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1"} %d.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf"} %d.0
vllm:time_to_first_token_seconds_count{engine="0"} %d.0
vllm:time_to_first_token_seconds_sum{engine="0"} 1.%de-05
unmapped{engine="0"} %d
`, n, n, n, n, n, n, n)
	}
	var r translate.Result
	for n := range 50 {
		sameAsFresh(t, &r, page(7*n), translate.Text, plan, source)
		if n == 20 { // another line
			r.Translate([]byte("x 1\n"), translate.Text, plan, source)
		}
	}
	if got := translate.TemplateHits(&r); translate.PageTemplates() && got < 20 {
		t.Errorf("of 50 pages, since the one that differed %d matched a template", got)
	}
	odd := []byte("vllm:time_to_first_token_seconds_bucket{engine=\"0\",le=\"0.1\"} 9.0\n")
	broken := append(slices.Clip(odd), page(1)...)
	sameAsFresh(t, &r, broken, translate.Text, plan, source)
	pages := [][]byte{page(1), page(22), page(333)}
	i := 0
	if n := testing.AllocsPerRun(100, func() { i++; r.Translate(pages[i%3], translate.Text, plan, source) }); n > 0 {
		t.Errorf("%v allocations a page", n)
	}
}

func FuzzPageTemplate(f *testing.F) {
	f.Add([]byte("engine:running{a=\"1\"} 1\nengine:usage 0.5\n# x\nfoo 1\n"), uint64(1))
	f.Add(otherPage, uint64(2))
	f.Add([]byte("engine:latency_seconds_bucket{le=\"1\"} 1\nengine:latency_seconds_bucket{le=\"+Inf\"} 2\nengine:latency_seconds_count 2\n"), uint64(3))
	plan, source := testMapping(f).Plan("Test", "2.0"), translate.NewSource(nil)
	f.Fuzz(func(t *testing.T, page []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		var used translate.Result
		for range 2 {
			used.Translate(page, translate.Text, plan, source)
		}
		for range 3 {
			sameAsFresh(t, &used, otherValues(page, r), translate.Text, plan, source)
		}
	})
}
