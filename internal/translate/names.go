package translate

import (
	"bytes"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// A sampleName is a sample name of engines' pages with the unified metrics that it feeds. Names come in the same order on each
// page and for each rank, so each name remembers its successor, and one comparison recognizes most lines.
type sampleName struct {
	name string
	// outputs are the unified sample names that the name feeds; none if it is unmapped.
	outputs []output
	// next is the index of the name that followed this one last time.
	next int32
	// uniform says that all outputs are alike in kind and labels, so that a line is valid for all of them or for none.
	uniform bool
	// shows are the metrics of mapping.Plan.Shown that the name is of.
	shows uint64
	// unselected counts the lines of page lastUnselected of which no target takes the labels.
	unselected     [len(skipReasons)]int
	lastUnselected uint32
	// Of an unmapped name: the index of its native metric in nameTable.unmappedPages, -1 if the mapping takes other samples of
	// that metric, and the last page that has the name.
	family   int32
	lastPage uint32
}

// An output is one sample name of a unified metric.
type output struct {
	name   string // with suffix
	family int
	rank   int
	// shared says that the unified metric has other native metrics, or that fallback or shownBy is set. See nativeMetrics.
	shared, fallback bool
	shownBy          uint64
	kind             kind
	// summary says that the metric is a summary: under its bare name it has quantiles only.
	summary bool
	// rewrite is the index of the label rewrite, change what the target changes; nil: nothing.
	rewrite int
	change  *mapping.Change
}

// expectedLines returns how many samples with the same labels the metric has, as far as the mapping tells.
func (o *output) expectedLines() int {
	switch {
	case o.summary:
		return fixedLines
	case o.kind == kindValue:
		return 1
	}
	return assumedLines
}

type kind uint8

const (
	kindValue kind = iota // a counter's or gauge's sample, a summary's quantile
	kindBucket
	kindSum
	kindCount
)

// suffixes are the suffixes of histograms' and summaries' sample names, by kind.
var suffixes = [...][]byte{kindBucket: []byte("_bucket"), kindSum: []byte("_sum"), kindCount: []byte("_count")}

// Bounds of the names that are kept from page to page. Beyond them all are forgotten.
const (
	maxSampleNames     = 8 << 10
	maxSampleNameBytes = 1 << 20
)

// A nameTable is the sample names that were seen under one plan. The first entry is a placeholder that no line matches.
type nameTable struct {
	plan    *mapping.Plan
	entries []sampleName
	index   map[string]int32
	bytes   int
	// types are the TYPE lines of the last page, in their order; nextType is the index of the next one.
	types    []typeLine
	nextType int
	// unmappedPages is the last page that has each unmapped native metric.
	unmappedPages []uint32
	unmappedIndex map[string]int32
	pageNumber    uint32
}

// A typeLine is a line that begins with "# TYPE"; conflict says that the mapping needs another type.
type typeLine struct {
	line     string
	conflict bool
}

// prepare prepares for a page under a plan.
func (t *nameTable) prepare(plan *mapping.Plan) {
	if t.plan != plan || t.entries == nil {
		t.plan = plan
		t.types = t.types[:0]
		t.reset()
	}
	t.nextType = 0
	t.pageNumber++
}

func (t *nameTable) reset() {
	clear(t.unmappedIndex)
	t.unmappedPages = t.unmappedPages[:0]
	t.entries = append(t.entries[:0], sampleName{name: "#"})
	if t.index == nil {
		t.index = map[string]int32{}
	}
	clear(t.index)
	t.bytes = 0
}

// startsLine reports whether a line begins with the name and a byte that ends a name.
func (s *sampleName) startsLine(line []byte) bool {
	n := len(s.name)
	return len(line) > n && (line[n] == '{' || line[n] == ' ') && string(line[:n]) == s.name
}

// find returns the index of a name, which it adds if it is new.
func (t *nameTable) find(name []byte, labels *labelTemplates) int32 {
	if i, ok := t.index[string(name)]; ok {
		return i
	}
	if len(t.entries) >= maxSampleNames || t.bytes > maxSampleNameBytes {
		t.reset()
	}
	i := int32(len(t.entries))
	s := t.resolve(string(name), labels)
	t.entries = append(t.entries, s)
	t.index[s.name] = i
	t.bytes += len(name)
	return i
}

// resolve finds out which unified metrics a sample name feeds. The type that the mapping declares decides, not the page's:
// histograms take the names with suffixes, counters and gauges the bare name, summaries all but _bucket.
func (t *nameTable) resolve(name string, labels *labelTemplates) sampleName {
	s := sampleName{name: name, family: -1, shows: t.plan.Shows([]byte(name))}
	s.addTargets(t.plan, []byte(name), kindValue, labels)
	for k, suffix := range suffixes {
		if family, ok := bytes.CutSuffix([]byte(name), suffix); ok && len(suffix) > 0 {
			s.addTargets(t.plan, family, kind(k), labels)
		}
	}
	if len(s.outputs) == 0 && !mapped(t.plan, []byte(name)) {
		s.family = t.unmappedFamily(string(familyName([]byte(name))))
	}
	return s
}

// unmappedFamily returns the index of a native metric that no target takes.
func (t *nameTable) unmappedFamily(name string) int32 {
	i, ok := t.unmappedIndex[name]
	if !ok {
		if t.unmappedIndex == nil {
			t.unmappedIndex = map[string]int32{}
		}
		i = int32(len(t.unmappedPages))
		t.unmappedPages = append(t.unmappedPages, t.pageNumber-1)
		t.unmappedIndex[name] = i
	}
	return i
}

// countUnmapped notes that the page has an unmapped name and reports whether it is the first one of its native metric.
func (t *nameTable) countUnmapped(s *sampleName) bool {
	if s.lastPage == t.pageNumber {
		return false
	}
	s.lastPage = t.pageNumber
	if s.family < 0 || t.unmappedPages[s.family] == t.pageNumber {
		return false
	}
	t.unmappedPages[s.family] = t.pageNumber
	return true
}

// partSuffixes are the suffixes of the sample names of one native metric. Python clients write _created beside a counter or a
// histogram.
var partSuffixes = [...][]byte{[]byte("_bucket"), []byte("_sum"), []byte("_count"), []byte("_created")}

// familyName returns the native metric of a sample name, as far as the name tells.
func familyName(name []byte) []byte {
	for _, suffix := range partSuffixes {
		if family, ok := bytes.CutSuffix(name, suffix); ok && len(family) > 0 {
			return family
		}
	}
	return name
}

// mapped reports whether a mapping names the native metric that a sample name belongs to.
func mapped(plan *mapping.Plan, name []byte) bool {
	return plan.Lookup(name) != nil || plan.Lookup(familyName(name)) != nil
}

// addTargets adds the outputs of a native metric that take samples of a kind.
func (s *sampleName) addTargets(plan *mapping.Plan, native []byte, k kind, labels *labelTemplates) {
	for _, t := range plan.Lookup(native) {
		f := plan.Families()[t.Family]
		o := output{name: f.WireName + string(suffixes[k]), family: t.Family, rank: t.Rank, kind: k, change: t.Change, fallback: t.Fallback, shownBy: t.ShownBy}
		o.shared = plan.HasSeveralNatives(t.Family) || t.ShownBy != 0
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
		o.rewrite = labels.rewriteFor(t.Change)
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

// checkTypeLine reports whether a comment declares a type that the mapping cannot use. Pages repeat their comments, so most are
// recognized and not parsed.
func (t *nameTable) checkTypeLine(line []byte) bool {
	i := t.nextType
	if i < len(t.types) && t.types[i].line == string(line) {
		t.nextType++
		return t.types[i].conflict
	}
	kind, native, typ := exposition.ParseComment(line)
	conflict := kind == exposition.TypeLine && conflicts(t.plan, native, typ)
	if kind != exposition.TypeLine || len(line) > maxTypeLineBytes || i == maxTypeLines {
		return conflict
	}
	if i == len(t.types) {
		t.types = append(t.types, typeLine{})
	}
	t.types[i] = typeLine{line: string(line), conflict: conflict}
	t.nextType++
	return conflict
}

// conflicts reports whether a native metric of the given type has no samples that one of its targets could take.
func conflicts(plan *mapping.Plan, native, typ []byte) bool {
	var single, parts bool // it has the bare name; it has _sum and _count
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
