package translate_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

const growthMapping = `{"gpustack_metrics":{
	"gpustack:c":{"type":"counter","description":"C."},
	"gpustack:d":{"type":"gauge","description":"D."},
	"gpustack:h":{"type":"histogram","description":"H."},
	"gpustack:s":{"type":"summary","description":"S."},
	"gpustack:q":{"type":"gauge","description":"Q."},
	"gpustack:i":{"type":"gauge","description":"I."},
	"gpustack:m":{"type":"histogram","description":"M."}},
	"runtime_mapping":{"R":{"*":{
		"e:c":"gpustack:c","e:d":"gpustack:d","e:h":"gpustack:h","e:s":"gpustack:s","e:q":"gpustack:q",
		"e:i":{"to":"gpustack:i","ignore":[-1]},
		"e:m":{"to":"gpustack:m","scale":0.001}}}}}`

// grower is an instance whose pages grow. It knows all series that ever came out.
type grower struct {
	t      *testing.T
	growth *translate.SeriesLimiter
	plan   *mapping.Plan
	source *translate.Source
	result translate.Result
	raw    translate.Raw
	isRaw  bool
	seen   map[string]bool
}

func newGrower(t *testing.T, limit int) *grower {
	t.Helper()
	doc, err := mapping.Decode([]byte(growthMapping))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mapping.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	g := &grower{t: t, growth: translate.NewSeriesLimiter(limit, 10*limit), plan: m.Plan("R", ""), source: translate.NewSource(nil), seen: map[string]bool{}}
	g.result.Limiter, g.raw.Limiter = g.growth, g.growth
	return g
}

// page returns the series that come out of a page, and what was left out.
func (g *grower) page(text string) (series []string, left []translate.LeftOut) {
	g.t.Helper()
	var out string
	if g.isRaw {
		g.raw.Collect([]byte(text), translate.Text, g.source)
		out, left = string(mergeRaw(&g.raw)), g.raw.LeftOut()
	} else {
		g.result.Translate([]byte(text), translate.Text, g.plan, g.source)
		out, left = unified(g.plan, &g.result), g.result.LeftOut()
	}
	for line := range strings.Lines(out) {
		if line[0] == '#' {
			continue
		}
		s := line[:strings.LastIndexByte(line, ' ')]
		g.seen[s] = true
		series = append(series, s)
	}
	return series, left
}

func (g *grower) count(prefix string) (n int) {
	for s := range g.seen {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}

// lines repeats a format with the numbers of n values of which none was there before.
func lines(b *strings.Builder, format string, round, n int) {
	for i := range n {
		fmt.Fprintf(b, format, fmt.Sprintf("%d-%d", round, i), i)
	}
}

const quietLines = `e:d{a="1"} 1
e:d{a="2"} 1
e:q 1
`

func TestSeriesLimiter(t *testing.T) {
	const histogram = `e:h_bucket{id="%[1]s",le="1"} 1
e:h_bucket{id="%[1]s",le="2"} 2
e:h_bucket{id="%[1]s",le="+Inf"} 3
e:h_sum{id="%[1]s"} 4
e:h_count{id="%[1]s"} 3
`
	for name, c := range map[string]struct {
		format string
		raw    bool
		label  string
		family string
	}{
		"counter":            {"e:c{model=\"m\",id=\"%[1]s\"} 1\n", false, "id", "gpustack:c_total"},
		"native counter":     {"e:c{model=\"m\",id=\"%[1]s\"} 1\n", true, "id", "e:c"},
		"histogram":          {histogram, false, "id", "gpustack:h"},
		"native histogram":   {histogram, true, "id", "e:h_bucket"},
		"summary":            {"e:s{id=\"%[1]s\",quantile=\"0.5\"} 1\ne:s{id=\"%[1]s\",quantile=\"0.9\"} 1\ne:s_sum{id=\"%[1]s\"} 1\ne:s_count{id=\"%[1]s\"} 1\n", false, "id", "gpustack:s"},
		"bounds":             {"e:h_bucket{model=\"m\",le=\"1.%[2]d\"} 1\n", false, "le", "gpustack:h"},
		"quantiles":          {"e:s{model=\"m\",quantile=\"0.%[2]d\"} 1\n", false, "quantile", "gpustack:s"},
		"scaled bounds":      {"e:m_bucket{model=\"m\",le=\"1.%[2]d\"} 1\n", false, "le", "gpustack:m"},
		"native bounds":      {"e:h_bucket{model=\"m\",le=\"1.%[2]d\"} 1\n", true, "le", "e:h_bucket"},
		"bounds not numbers": {"e:h_bucket{model=\"m\",le=\"x%[1]s\"} 1\n", true, "le", "e:h_bucket"},
		"unsorted":           {"e:c{id=\"%[1]s\"} 1\ne:h_bucket{id=\"%[1]s\",le=\"+Inf\"} 1\n", false, "id", "gpustack:c_total"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const limit, rounds = 1000, 5
				g := newGrower(t, limit)
				g.isRaw = c.raw
				var named bool
				for round := range rounds {
					var b strings.Builder
					for i := range 2000 {
						fmt.Fprintf(&b, c.format, fmt.Sprintf("%d-%d", round, i), 1_000_000*(round+1)+i)
					}
					b.WriteString(quietLines)
					series, left := g.page(b.String())
					kept := 0
					for _, s := range series {
						if strings.HasPrefix(s, "gpustack:d") || strings.HasPrefix(s, "gpustack:q") || strings.HasPrefix(s, "e:d") || strings.HasPrefix(s, "e:q") {
							kept++
						}
					}
					if kept != 3 {
						t.Errorf("round %d: %d series of the other families, want 3", round, kept)
					}
					for _, l := range left {
						if l.Family == c.family && l.Samples > 0 {
							named = true
							if l.Label != c.label {
								t.Errorf("round %d: %+v, want label %s", round, l, c.label)
							}
						}
					}
					time.Sleep(15 * time.Second)
				}
				if !named {
					t.Errorf("nothing of %s is said to be left out", c.family)
				}
				if n := len(g.seen); n < limit/7 || n > limit {
					t.Errorf("%d series came out in an hour, the limit is %d", n, limit)
				}
				time.Sleep(time.Hour)
				before := len(g.seen)
				var b strings.Builder
				lines(&b, strings.ReplaceAll(c.format, "1.%[2]d", "3.%[2]d"), 99, 2000)
				g.page(b.String())
				if len(g.seen) == before {
					t.Error("no new series in the next hour")
				}
			})
		})
	}
}

// Known series are never left out, also when their family's share is used up and hours pass.
func TestSeriesLimiter_KnownSeriesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGrower(t, 1000)
		var fixed strings.Builder
		lines(&fixed, "e:c{id=\"%s\"} %d\n", -1, 200)
		g.page(fixed.String())
		for round := range 4 * 60 {
			if round == 100 {
				time.Sleep(20 * time.Minute)
			}
			page := fixed.String()
			if round > 50 && round%2 == 0 {
				var b strings.Builder
				lines(&b, "e:c{id=\"%s\"} %d\n", round, 400)
				page = b.String() + page // what is new comes first
			}
			series, _ := g.page(page)
			n := 0
			for _, s := range series {
				if strings.Contains(s, `id="-1-`) {
					n++
				}
			}
			if n != 200 {
				t.Fatalf("round %d: %d of 200 known series", round, n)
			}
			time.Sleep(time.Minute)
		}
	})
}

// However many families churn, each gets a share, and one that does not churn gets what is new of it.
func TestSeriesLimiter_Shares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1200
		g := newGrower(t, limit)
		for round := range 6 {
			var b strings.Builder
			lines(&b, "e:c{id=\"%s\"} %d\n", round, 2000)
			lines(&b, "e:d{id=\"%s\"} %d\n", round, 2000)
			if round == 5 {
				lines(&b, "e:q{id=\"%s\"} %d\n", round, limit/6)
			}
			g.page(b.String())
		}
		got := map[string]int{"c": g.count("gpustack:c"), "d": g.count("gpustack:d"), "q": g.count("gpustack:q")}
		want := map[string]int{"c": limit / 2, "d": limit / 4, "q": limit / 8}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// A histogram comes with all of its bounds or not at all, in whatever order its lines are.
func TestSeriesLimiter_WholeHistograms(t *testing.T) {
	const bounds = 12
	for name, write := range map[string]func(b *strings.Builder, ids []string){
		"one after the other": func(b *strings.Builder, ids []string) {
			for _, id := range ids {
				for i := range bounds {
					fmt.Fprintf(b, "e:h_bucket{id=%q,le=\"%d\"} %d\n", id, i, i)
				}
				fmt.Fprintf(b, "e:h_bucket{id=%[1]q,le=\"+Inf\"} 99\ne:h_sum{id=%[1]q} 1\ne:h_count{id=%[1]q} 99\n", id)
			}
		},
		"sums first": func(b *strings.Builder, ids []string) {
			for _, id := range ids {
				fmt.Fprintf(b, "e:h_sum{id=%[1]q} 1\ne:h_count{id=%[1]q} 99\n", id)
			}
			for _, id := range ids {
				for i := range bounds {
					fmt.Fprintf(b, "e:h_bucket{id=%q,le=\"%d\"} %d\n", id, i, i)
				}
				fmt.Fprintf(b, "e:h_bucket{id=%q,le=\"+Inf\"} 99\n", id)
			}
		},
		"by bound": func(b *strings.Builder, ids []string) {
			for i := range bounds {
				for _, id := range ids {
					fmt.Fprintf(b, "e:h_bucket{id=%q,le=\"%d\"} %d\n", id, i, i)
				}
			}
			for _, id := range ids {
				fmt.Fprintf(b, "e:h_bucket{id=%[1]q,le=\"+Inf\"} 99\ne:h_sum{id=%[1]q} 1\ne:h_count{id=%[1]q} 99\n", id)
			}
		},
	} {
		for _, isRaw := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " native ", isRaw), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGrower(t, 1001)
					g.isRaw = isRaw
					for round := range 8 {
						const n = 100
						var ids []string
						for i := range n {
							ids = append(ids, fmt.Sprintf("%d-%d", round, i))
						}
						b := strings.Builder{}
						b.WriteString("# TYPE e:h histogram\n")
						write(&b, ids)
						series, _ := g.page(b.String())
						each := map[string]int{}
						for _, s := range series {
							_, id, _ := strings.Cut(s, `id="`)
							id, _, _ = strings.Cut(id, `"`)
							each[id]++
						}
						for id, n := range each {
							if n != bounds+3 {
								t.Errorf("round %d: histogram %s has %d lines of %d", round, id, n, bounds+3)
							}
						}
						// Their size is learnt from the first one, or where they are mixed from the page.
						inOrder := name == "one after the other"
						if n := g.count("gpustack:h_count") + g.count("e:h_count"); n < 30 && (inOrder || round > 0) || n == 0 {
							t.Errorf("round %d: %d histograms", round, n)
						}
					}
				})
			})
		}
	}
}

// A known histogram whose bounds churn keeps its other lines and stays valid.
func TestSeriesLimiter_BoundsOfAKnownHistogram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGrower(t, 100)
		for round := range 10 {
			var b strings.Builder
			b.WriteString("e:h_bucket{le=\"0.5\"} 1\n")
			for i := range 50 {
				fmt.Fprintf(&b, "e:h_bucket{le=\"1.%d\"} 1\n", 1000*(round+1)+i)
			}
			b.WriteString("e:h_bucket{le=\"+Inf\"} 1\ne:h_sum 1\ne:h_count 1\n")
			series, _ := g.page(b.String())
			got := strings.Join(series, "\n")
			for _, want := range []string{`gpustack:h_bucket{le="0.5"}`, `gpustack:h_bucket{le="+Inf"}`, "gpustack:h_sum", "gpustack:h_count"} {
				if !strings.Contains(got, want) {
					t.Errorf("round %d: no %s", round, want)
				}
			}
		}
		if n := len(g.seen); n > 60 {
			t.Errorf("%d series", n)
		}
	})
}

// An engine that churns with its families' names leaves those that are known whole.
func TestSeriesLimiter_Names(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 6000
		g := newGrower(t, limit)
		g.isRaw = true
		var last []translate.LeftOut
		for round := range 5 {
			var b strings.Builder
			for i := range 5000 {
				fmt.Fprintf(&b, "n_%d_%d 1\n", round, i)
			}
			series, left := g.page(quietLines + b.String())
			if len(series) < 3 || series[0] != `e:d{a="1"}` || series[2] != "e:q" {
				t.Errorf("round %d: %.3q", round, series)
			}
			last = left
		}
		if n := len(g.seen); n > limit {
			t.Errorf("%d series, the limit is %d", n, limit)
		}
		if len(last) == 0 || last[0].Label != "__name__" || last[0].Family != "" || !strings.HasPrefix(last[0].Example, "n_4_") {
			t.Errorf("left out: %.200v", last)
		}
	})
}

// What an engine shows in turns is bounded too, as is what is remembered of it.
func TestSeriesLimiter_ManyKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, page = 500, 600
		g := newGrower(t, limit)
		g.growth = translate.NewSeriesLimiter(limit, page)
		g.result.Limiter = g.growth
		for range 12 {
			for round := range 20 {
				var b strings.Builder
				for i := range 500 {
					fmt.Fprintf(&b, "e:c{id=\"%d\"} 1\n", 500*(round%10)+i)
				}
				g.page(b.String())
				time.Sleep(3 * time.Minute)
			}
		}
		if n := len(g.seen); n > limit+page {
			t.Errorf("%d series", n)
		}
	})
}

// Series that come up when values change, as those that mean nothing do, are bounded where the rest of the page is as before.
func TestSeriesLimiter_IgnoredValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 100
		g := newGrower(t, limit)
		for round := range 6 {
			for _, value := range []string{"-1", "-1", "-1", "5", "6"} {
				var b strings.Builder
				lines(&b, "e:i{id=\"%[1]s\"} "+value+"\n", round, 200)
				g.page(b.String() + quietLines)
			}
		}
		if n := g.count("gpustack:i"); n == 0 || n > limit/2 {
			t.Errorf("%d series, the limit is %d", n, limit)
		}
	})
}

// Results with other labels of the instance have the same series, and a Result that gave its memory back knows them again.
func TestSeriesLimiter_IsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGrower(t, 1000)
		var b strings.Builder
		lines(&b, "e:c{id=\"%s\"} %d\n", 0, 400)
		g.page(b.String())
		used := g.growth.Usage().Used
		other := translate.Result{Limiter: g.growth}
		stats := other.Translate([]byte(b.String()), translate.Text, g.plan, translate.NewSource([]translate.Label{{Name: "cluster", Value: "x"}}))
		g.result.Trim()
		series, _ := g.page(b.String())
		if stats.Samples != 400 || len(series) != 400 || used != 400 || g.growth.Usage().Used != used {
			t.Errorf("%d and %d samples; %d, then %d new series", stats.Samples, len(series), used, g.growth.Usage().Used)
		}
	})
}

// No page of an engine comes near a bound, a page that changes in its values alone takes the quick way, and its series are
// still known after hours.
func TestSeriesLimiter_UsualPages(t *testing.T) {
	for _, p := range pageFiles(t) {
		synctest.Test(t, func(t *testing.T) {
			var plain, bounded translate.Result
			var rawPlain, rawBounded translate.Raw
			bounded.Limiter, rawBounded.Limiter = translate.NewSeriesLimiter(50_000, 50_000), translate.NewSeriesLimiter(50_000, 50_000)
			source := translate.NewSource(p.labels)
			quick := 0
			for range 200 {
				want, got := plain.Translate(p.page, p.format, p.plan, source), bounded.Translate(p.page, p.format, p.plan, source)
				if diff := cmp.Diff(want, got) + cmp.Diff(unified(p.plan, &plain), unified(p.plan, &bounded)); diff != "" {
					t.Fatalf("%s: (-want +got)\n%s", p.name, diff)
				}
				quick += translate.TemplateHits(&bounded)
				time.Sleep(time.Minute)
			}
			want, got := rawPlain.Collect(p.page, p.format, source), rawBounded.Collect(p.page, p.format, source)
			if diff := cmp.Diff(want, got) + cmp.Diff(string(mergeRaw(&rawPlain)), string(mergeRaw(&rawBounded))); diff != "" {
				t.Errorf("%s: native (-want +got)\n%s", p.name, diff)
			}
			if u := bounded.Limiter.Usage(); translate.TemplateHits(&plain) > 0 && (quick == 0 || u.Used > 0) {
				t.Errorf("%s: %d quick pages, %d new series in the last hour", p.name, quick, u.Used)
			}
			if len(bounded.LeftOut())+len(rawBounded.LeftOut()) > 0 {
				t.Errorf("%s: left out %v %v", p.name, bounded.LeftOut(), rawBounded.LeftOut())
			}
		})
	}
}
