package bench

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// pages are the sizes that are measured, with floors for how much faster than the others the translator must be. The floors
// lie below what it reaches on a quiet machine; the output of the largest page does not fit into the caches, which hits the
// fastest way the most.
var pages = []struct {
	name     string
	ranks    int
	created  bool
	victoria float64
	expfmt   float64
}{
	{"68KB", 2, false, 3.5, 40},
	{"300KB", 9, true, 3.5, 40},
	{"2.3MB", 65, true, 3, 35},
}

const (
	nameOurs     = "ours"
	nameVictoria = "victoriametrics"
	nameExpfmt   = "expfmt"
)

// ways are what is compared, ours first.
var ways = []struct {
	name string
	make func(*mapping.Compiled) Translator
}{
	{nameOurs, func(m *mapping.Compiled) Translator { return newOurs(m) }},
	{nameVictoria, func(m *mapping.Compiled) Translator { return &viaVictoria{renamer: newRenamer(m)} }},
	{"textparse", func(m *mapping.Compiled) Translator {
		return &viaTextparse{renamer: newRenamer(m), symbols: labels.NewSymbolTable()}
	}},
	{nameExpfmt, func(m *mapping.Compiled) Translator { return &viaExpfmt{renamer: newRenamer(m)} }},
}

func compiled(tb testing.TB) *mapping.Compiled {
	tb.Helper()
	m, err := mapping.Compile(mapping.Default())
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// TestWaysAgree checks that what is compared does the same work: every way writes the same samples.
func TestWaysAgree(t *testing.T) {
	m := compiled(t)
	page := []byte(Page(3, true, 1))
	var want []string
	for _, w := range ways {
		out, err := w.make(m).Translate(page)
		if err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		got := samples(t, out)
		if w.name == nameOurs {
			want = got
		}
		if len(got) < 800 || !slices.Equal(want, got) {
			t.Errorf("%s writes %d samples, of which not all are those of ours (%d)", w.name, len(got), len(want))
		}
	}
}

// samples returns the samples of a page in a form that does not depend on the order of lines and labels.
func samples(t *testing.T, page []byte) []string {
	t.Helper()
	p := textparse.NewPromParser(bytes.Clone(page), labels.NewSymbolTable(), false)
	var all []string
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(all)
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var set labels.Labels
		p.Labels(&set)
		b := labels.NewBuilder(set)
		if le := set.Get("le"); le != "" {
			bound, err := strconv.ParseFloat(le, 64)
			if err != nil {
				t.Fatal(err)
			}
			b.Set("le", strconv.FormatFloat(bound, 'g', -1, 64))
		}
		// Ours alone sorts ends by their reason; the others are spared selecting by labels.
		switch name, reason := set.Get("__name__"), set.Get("finished_reason"); {
		case name == "gpustack:request_aborted_total", name == "gpustack:request_failed_total":
			b.Set("__name__", "gpustack:request_success_total")
		case reason == "abort", reason == "error":
			b.Del("finished_reason")
		}
		_, _, v := p.Series()
		all = append(all, b.Labels().String()+strconv.FormatFloat(v, 'g', -1, 64))
	}
}

func BenchmarkTranslate(b *testing.B) {
	m := compiled(b)
	for _, p := range pages {
		pages := Pages(p.ranks, p.created)
		for _, w := range ways {
			b.Run(w.name+"/"+p.name, func(b *testing.B) {
				way := w.make(m)
				for _, page := range pages {
					if _, err := way.Translate(page); err != nil {
						b.Fatal(err)
					}
				}
				b.SetBytes(int64(len(pages[0])))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := way.Translate(pages[i%len(pages)]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRaw measures the pages with native names.
func BenchmarkRaw(b *testing.B) {
	source := translate.NewSource(identity)
	for _, p := range pages {
		page := []byte(Page(p.ranks, p.created, 1))
		b.Run(p.name, func(b *testing.B) {
			var raw translate.Raw
			var w exposition.Writer
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				w.Reset()
				raw.Collect(page, translate.Text, source)
				translate.MergeRaw(&w, &raw)
			}
		})
	}
}
