package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/translate"
)

// A page of which something is left out is read anew each time: what is left out may be something else then.
func TestPageTemplate_IsNotMadeOfAPageThatIsCut(t *testing.T) {
	plan := testMapping(t).Plan("Test", "")
	var many strings.Builder
	for i := range 30 {
		fmt.Fprintf(&many, "engine:latency_seconds_bucket{le=\"%d\"} %%[1]d\n", i)
	}
	for what, c := range map[string]struct {
		page   string
		max    int    // samples
		filler string // a label of the instance
		left   func(translate.Stats) int
	}{
		"duplicates": {
			page: "engine:running{a=\"1\"} %[1]d\nengine:running{a=\"2\"} 5\nengine:running{a=\"1\"} 7\n",
			left: func(s translate.Stats) int { return s.Duplicates },
		},
		"duplicates in another order": {
			page: "engine:running{a=\"1\",b=\"2\"} %[1]d\nengine:running{b=\"2\",a=\"1\"} 7\n",
			left: func(s translate.Stats) int { return s.Duplicates },
		},
		"duplicates of buckets": {
			page: "engine:latency_seconds_bucket{le=\"1\"} %[1]d\nengine:latency_seconds_bucket{le=\"1\"} 7\nengine:latency_seconds_bucket{le=\"+Inf\"} %[1]d\n",
			left: func(s translate.Stats) int { return s.Duplicates },
		},
		"duplicates under two names": {
			page: "engine:tokens %[1]d\nengine:tokens_total 7\nengine:tokens 8\n",
			left: func(s translate.Stats) int { return s.Duplicates },
		},
		"broken lines": {
			page: "engine:running{a=\"1\"} %[1]d\nengine:running{a=\"2\"} x\n",
			left: func(s translate.Stats) int { return s.ParseErrors },
		},
		"more samples than are allowed": {
			page: "engine:running{a=\"1\"} %[1]d\nengine:running{a=\"2\"} %[1]d\nengine:running{a=\"3\"} %[1]d\n", max: 2,
			left: func(s translate.Stats) int { return s.OverLimit },
		},
		"more than there is memory for": {
			page: many.String(), filler: strings.Repeat("x", 100<<10),
			left: func(s translate.Stats) int { return s.OverMemory },
		},
	} {
		t.Run(what, func(t *testing.T) {
			source := translate.NewSource([]translate.Label{{Name: "filler", Value: c.filler}})
			empty := budget.NewPool(0)
			used := translate.Result{MaxSamples: c.max, Memory: empty}
			for n := range 8 {
				page := fmt.Appendf(nil, c.page, 10+n)
				fresh := translate.Result{MaxSamples: c.max, Memory: empty}
				want, got := fresh.Translate(page, translate.Text, plan, source), used.Translate(page, translate.Text, plan, source)
				if c.left(want) == 0 {
					t.Fatalf("nothing is left out: %+v", want)
				}
				if want.OverMemory > 0 && got.OverMemory > 0 { // what is remembered takes some of it
					want.OverMemory, want.Samples = want.OverMemory+want.Samples-got.Samples, got.Samples
				} else if diff := cmp.Diff(unified(plan, &fresh), unified(plan, &used)); diff != "" {
					t.Fatalf("page %d (-new +with a past):\n%s", n, diff)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("page %d: stats (-new +with a past):\n%s", n, diff)
				}
				if lines := strings.Count(unified(plan, &used), "\n"); lines != got.Samples {
					t.Fatalf("page %d: %d lines of %d samples", n, lines, got.Samples)
				}
				if n := translate.TemplateHits(&used); n > 0 {
					t.Fatalf("%d pages matched a template", n)
				}
			}
			var fresh translate.Result
			used.MaxSamples, used.Memory = 0, nil
			page := fmt.Appendf(nil, c.page, 20)
			want, got := fresh.Translate(page, translate.Text, plan, source), used.Translate(page, translate.Text, plan, source)
			if diff := cmp.Diff(want, got); diff != "" || got.OverLimit+got.OverMemory > 0 {
				t.Errorf("without bounds: stats (-new +with a past):\n%s", diff)
			}
			if diff := cmp.Diff(unified(plan, &fresh), unified(plan, &used)); diff != "" {
				t.Errorf("without bounds (-new +with a past):\n%s", diff)
			}
		})
	}
}

// Nor of a page for which there is memory only without its template: that would cost it lines.
func TestPageTemplate_TakesNoMemoryFromLines(t *testing.T) {
	plan, source := testMapping(t).Plan("Test", ""), translate.NewSource(nil)
	var page strings.Builder
	const lines = 40
	for i := range lines {
		fmt.Fprintf(&page, "engine:latency_seconds_bucket{le=\"%s%02d\"} %%[1]d\n", strings.Repeat("0", 60_000), i)
	}
	used := translate.Result{Memory: budget.NewPool(2 << 20)} // beside OwnMemory
	for n := range 6 {
		stats := used.Translate(fmt.Appendf(nil, page.String(), 10+n), translate.Text, plan, source)
		if stats.Samples != lines || stats.OverMemory > 0 {
			t.Errorf("page %d: %+v", n, stats)
		}
	}
}
