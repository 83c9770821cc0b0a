package translate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/exposition"
)

// MergeRaw writes the native metrics of all raws: HELP and TYPE once, then all lines. The first HELP is used. A metric is
// written without TYPE if pages contradict each other, or if one of its samples does not fit the type and strict parsers would
// refuse the page; its samples are then written under their own names. MergeRaw skips nil raws. The sources of the others must
// differ, or series would be written twice. The lines are not copied, as with Merge.
func MergeRaw(dst *exposition.Writer, raws ...*Raw) {
	m := newRawMerge(raws)
	for _, name := range m.names {
		f := m.families[name]
		if len(f.samples) == 0 {
			continue
		}
		dst.Family(name, f.typ, f.help)
		for _, g := range f.samples {
			for _, lines := range g.lines {
				dst.Refer(lines)
			}
		}
	}
}

// A mergedFamily is a native metric of all pages.
type mergedFamily struct {
	typ, help string
	conflict  bool
	samples   []*mergedSamples
}

// mergedSamples is the samples of one name on all pages.
type mergedSamples struct {
	name                   string
	lines                  [][]byte
	noHistogram, noSummary bool
	negative               bool
}

type rawMerge struct {
	names    []string // of families, in order of their first appearance
	families map[string]*mergedFamily
	samples  map[string]*mergedSamples
}

func newRawMerge(raws []*Raw) *rawMerge {
	m := &rawMerge{families: map[string]*mergedFamily{}, samples: map[string]*mergedSamples{}}
	var order []*mergedSamples
	for _, r := range raws {
		if r == nil {
			continue
		}
		for i := range r.families {
			m.declare(&r.families[i])
		}
		for i := range r.byName {
			if g := &r.byName[i]; g.lines.samples > 0 {
				order = m.addSamples(g, order)
			}
		}
	}
	m.dropWrongTypes()
	for _, g := range order {
		f := m.family(m.owner(g.name))
		f.samples = append(f.samples, g)
	}
	return m
}

// family returns the family of a name.
func (m *rawMerge) family(name string) *mergedFamily {
	f := m.families[name]
	if f == nil {
		f = &mergedFamily{}
		m.families[name] = f
		m.names = append(m.names, name)
	}
	return f
}

func (m *rawMerge) declare(r *rawFamily) {
	f := m.family(r.name)
	if f.help == "" {
		f.help = r.help
	}
	f.conflict = f.conflict || r.conflict || f.typ != "" && r.typ != "" && f.typ != r.typ
	f.typ = cmp.Or(f.typ, r.typ)
}

func (m *rawMerge) addSamples(g *rawSamples, order []*mergedSamples) []*mergedSamples {
	merged := m.samples[g.name]
	if merged == nil {
		merged = &mergedSamples{name: g.name}
		m.samples[g.name] = merged
		order = append(order, merged)
		m.family(g.name)
	}
	merged.lines = append(merged.lines, g.lines.text)
	merged.noHistogram = merged.noHistogram || g.noHistogram
	merged.noSummary = merged.noSummary || g.noSummary
	merged.negative = merged.negative || g.negative
	return order
}

// dropWrongTypes removes types that pages contradict or that samples do not fit. A histogram or summary owns the names of its
// samples, so shorter names come first.
func (m *rawMerge) dropWrongTypes() {
	names := slices.SortedFunc(slices.Values(m.names), func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	for _, name := range names {
		f := m.families[name]
		var keep bool
		switch f.typ {
		case "counter", "gauge", "untyped":
			keep = true
		case "histogram":
			keep = m.all(name, suffixes[:], func(g *mergedSamples, k kind) bool {
				return !g.noHistogram && (k == kindSum || !g.negative)
			})
		case "summary":
			keep = m.all(name, suffixes[:], func(g *mergedSamples, _ kind) bool { return !g.noSummary })
		}
		if f.conflict || !keep || m.owner(name) != name {
			f.typ = ""
		}
	}
}

// all reports whether the samples of a family pass a test, for each of the suffixes.
func (m *rawMerge) all(family string, suffixes [][]byte, ok func(*mergedSamples, kind) bool) bool {
	for k, suffix := range suffixes {
		if g := m.samples[family+string(suffix)]; g != nil && !ok(g, kind(k)) {
			return false
		}
	}
	return true
}

// owner returns the family to which a sample name belongs.
func (m *rawMerge) owner(name string) string {
	for k, suffix := range suffixes {
		family, ok := strings.CutSuffix(name, string(suffix))
		if !ok || len(suffix) == 0 {
			continue
		}
		f := m.families[family]
		if f != nil && (f.typ == "histogram" || f.typ == "summary" && kind(k) != kindBucket) {
			return family
		}
	}
	return name
}
