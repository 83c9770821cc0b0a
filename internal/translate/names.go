package translate

import (
	"bytes"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// A series is a sample name of engines' pages with what it becomes. Names come in the same order from page to page and
// from rank to rank, so each remembers its successor and most lines need one comparison to be recognised.
type sampleName struct {
	name string
	// outputs are the families that the name feeds, none for an unmapped name.
	outputs []output
	// next is the series that followed this one the last time.
	next int32
	// uniform says that all outputs take the same samples in the same form, so that a line is good for all of them or for
	// none.
	uniform bool
	// Of an unmapped name: the index of its family, -1 if the mapping has the family's other samples, and the page that
	// has it.
	family   int32
	lastPage uint32
}

// An output is one sample name of a unified family.
type output struct {
	name   string // with suffix
	family int
	rank   int
	kind   kind
	// summary says that the family is a summary: of the bare name it has the quantiles alone.
	summary bool
	// form is the index of what happens to labels, change what happens to values; nil: nothing.
	rewrite int
	change  *mapping.Change
}

// lines is how many samples a family has with the same labels, as far as the mapping tells.
func (o *output) expectedLines() int {
	switch {
	case o.summary:
		return partLines
	case o.kind == kindValue:
		return 1
	}
	return assumedSize
}

type kind uint8

const (
	kindValue kind = iota // a counter's or gauge's sample, a summary's quantile
	kindBucket
	kindSum
	kindCount
)

// suffixes are what histograms' and summaries' sample names end in, by kind.
var suffixes = [...][]byte{kindBucket: []byte("_bucket"), kindSum: []byte("_sum"), kindCount: []byte("_count")}

// Bounds of the names that are kept between pages. Beyond them all are forgotten.
const (
	maxSeriesNames     = 8 << 10
	maxSeriesNameBytes = 1 << 20
)

// vocabulary is the sample names known for one plan. The first is a placeholder: lines that begin with # are comments.
type nameTable struct {
	plan  *mapping.Plan
	names []sampleName
	index map[string]int32
	bytes int
	// types are the TYPE lines of the last page, in their order and what they come to; nextType is the next one's index.
	types    []typeLine
	nextType int
	// unmapped are the pages that have the families that no target takes, by name.
	unmappedPages []uint32
	unmappedIndex map[string]int32
	pageNumber    uint32
}

// A typeLine is a line that begins with "# TYPE" with what it comes to.
type typeLine struct {
	line     string
	conflict bool
}

// use makes the vocabulary ready for a page under plan.
func (v *nameTable) prepare(plan *mapping.Plan) {
	if v.plan != plan || v.names == nil {
		v.plan = plan
		v.types = v.types[:0]
		v.reset()
	}
	v.nextType = 0
	v.pageNumber++
}

func (v *nameTable) reset() {
	clear(v.unmappedIndex)
	v.unmappedPages = v.unmappedPages[:0]
	v.names = append(v.names[:0], sampleName{name: "#"})
	if v.index == nil {
		v.index = map[string]int32{}
	}
	clear(v.index)
	v.bytes = 0
}

// begins reports whether a line is one of s, as far as its name and the byte after it say.
func (s *sampleName) startsLine(line []byte) bool {
	n := len(s.name)
	return len(line) > n && (line[n] == '{' || line[n] == ' ') && string(line[:n]) == s.name
}

// find returns the series of a name.
func (v *nameTable) find(name []byte, forms *labelTemplates) int32 {
	if i, ok := v.index[string(name)]; ok {
		return i
	}
	if len(v.names) >= maxSeriesNames || v.bytes > maxSeriesNameBytes {
		v.reset()
	}
	i := int32(len(v.names))
	s := v.resolve(string(name), forms)
	v.names = append(v.names, s)
	v.index[s.name] = i
	v.bytes += len(name)
	return i
}

// resolve says what a sample name becomes. The type that the mapping declares decides, not the page's: histograms have the
// names with suffixes, counters and gauges the bare one, summaries all but _bucket.
func (v *nameTable) resolve(name string, forms *labelTemplates) sampleName {
	s := sampleName{name: name, family: -1}
	s.addTargets(v.plan, []byte(name), kindValue, forms)
	for k, suffix := range suffixes {
		if family, ok := bytes.CutSuffix([]byte(name), suffix); ok && len(suffix) > 0 {
			s.addTargets(v.plan, family, kind(k), forms)
		}
	}
	if len(s.outputs) == 0 && !mapped(v.plan, []byte(name)) {
		s.family = v.unmappedFamily(string(familyName([]byte(name))))
	}
	return s
}

// unmappedFamily returns the index of a family that no target takes.
func (v *nameTable) unmappedFamily(name string) int32 {
	i, ok := v.unmappedIndex[name]
	if !ok {
		if v.unmappedIndex == nil {
			v.unmappedIndex = map[string]int32{}
		}
		i = int32(len(v.unmappedPages))
		v.unmappedPages = append(v.unmappedPages, v.pageNumber-1)
		v.unmappedIndex[name] = i
	}
	return i
}

// countUnmapped notes that the page has an unmapped name and reports whether it is the first of its family.
func (v *nameTable) countUnmapped(s *sampleName) bool {
	if s.lastPage == v.pageNumber {
		return false
	}
	s.lastPage = v.pageNumber
	if s.family < 0 || v.unmappedPages[s.family] == v.pageNumber {
		return false
	}
	v.unmappedPages[s.family] = v.pageNumber
	return true
}

// partSuffixes are what the sample names of one family end in. _created is what Python clients write beside a counter or
// a histogram.
var partSuffixes = [...][]byte{[]byte("_bucket"), []byte("_sum"), []byte("_count"), []byte("_created")}

// familyName returns the family of a sample name, as far as the name tells.
func familyName(name []byte) []byte {
	for _, suffix := range partSuffixes {
		if family, ok := bytes.CutSuffix(name, suffix); ok && len(family) > 0 {
			return family
		}
	}
	return name
}

// mapped reports whether a mapping takes the family that a sample name belongs to.
func mapped(plan *mapping.Plan, name []byte) bool {
	return plan.Lookup(name) != nil || plan.Lookup(familyName(name)) != nil
}

func (s *sampleName) addTargets(plan *mapping.Plan, native []byte, k kind, forms *labelTemplates) {
	for _, t := range plan.Lookup(native) {
		f := plan.Families()[t.Family]
		o := output{name: f.WireName + string(suffixes[k]), family: t.Family, rank: t.Rank, kind: k, change: t.Change}
		switch {
		case t.As == mapping.AsSum && k == kindSum, t.As == mapping.AsCount && k == kindCount:
			o.name, o.kind = f.WireName, kindValue
		case t.As != mapping.AsDeclared:
			continue
		case f.Type == catalog.Histogram:
			if k == kindValue {
				continue
			}
		case f.Type == catalog.Summary:
			if k == kindBucket {
				continue
			}
			o.summary = true
		case k != kindValue:
			continue
		}
		o.rewrite = forms.rewriteFor(t.Change)
		s.outputs = append(s.outputs, o)
		first := s.outputs[0]
		s.uniform = len(s.outputs) == 1 || s.uniform && first.kind == o.kind && first.summary == o.summary && first.rewrite == o.rewrite
	}
}

// Bounds of the TYPE lines that are kept.
const (
	maxTypeLines     = 4 << 10
	maxTypeLineBytes = 256
)

// conflict reports whether a comment declares a type that a mapped family cannot have. It seldom has to be taken apart:
// pages repeat their comments.
func (v *nameTable) checkTypeLine(line []byte) bool {
	i := v.nextType
	if i < len(v.types) && v.types[i].line == string(line) {
		v.nextType++
		return v.types[i].conflict
	}
	kind, native, typ := exposition.ParseComment(line)
	conflict := kind == exposition.TypeLine && conflicts(v.plan, native, typ)
	if kind != exposition.TypeLine || len(line) > maxTypeLineBytes || i == maxTypeLines {
		return conflict
	}
	if i == len(v.types) {
		v.types = append(v.types, typeLine{})
	}
	v.types[i] = typeLine{line: string(line), conflict: conflict}
	v.nextType++
	return conflict
}

// conflicts reports whether a page's type for a native family has no series that one of the unified families it feeds
// could take.
func conflicts(plan *mapping.Plan, native, typ []byte) bool {
	var single, parts bool // has the bare name, has _sum and _count
	switch string(typ) {
	case "counter", "gauge":
		single = true
	case "histogram", "summary":
		parts = true
	default:
		return false
	}
	for _, t := range plan.Lookup(native) {
		switch declared := plan.Families()[t.Family].Type; {
		case declared == catalog.Histogram, declared == catalog.Summary, t.As != mapping.AsDeclared:
			if !parts {
				return true
			}
		default:
			if !single {
				return true
			}
		}
	}
	return false
}
