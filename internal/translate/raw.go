package translate

import (
	"bytes"
	"strings"

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// Raw is one page as /metrics/raw shows it: the engine's own names with the labels of its instance. It keeps all samples,
// including _created and quantiles, and drops timestamps and exemplars. It is for one goroutine at a time and keeps its memory
// for the next Collect. The zero value is ready for use.
type Raw struct {
	// MaxSamples bounds the samples of a page; 0: the constant of that name, which it cannot exceed.
	MaxSamples int
	// Memory is where a page takes more memory from, as for Result.Memory.
	Memory *budget.Pool
	// Limiter decides which new series are accepted, as Result.Limiter does.
	Limiter *SeriesLimiter

	memory   memory
	byName   []rawSamples // in the order of the page
	index    map[string]int32
	families []rawFamily // with HELP or TYPE, in the order of the page
	declared map[string]int32
	labels   labelTemplates
	sample   exposition.Sample
	leftOut  []LeftOut
}

// A rawSamples is the samples of one name.
type rawSamples struct {
	name  string
	lines lineBuffer
	// family is the native metric as far as the name tells; part says that the name has a suffix.
	family string
	part   bool
	// The samples do not fit the type histogram or summary. Strict parsers refuse the whole page because of one such sample,
	// so the family is written without its type.
	noHistogram, noSummary bool
	// negative says that there is a value below zero, which only a _sum may have.
	negative bool
}

func newRawSamples(name []byte, b lineBuffer) rawSamples {
	g := rawSamples{name: string(name), lines: b}
	g.family = g.name[:len(familyName(name))]
	g.part = len(g.family) < len(g.name)
	return g
}

// A rawFamily is the HELP and TYPE of a native metric, in the terms of text 0.0.4.
type rawFamily struct {
	name, typ, help string
	conflict        bool // more than one type
}

// maxRawNames bounds the sample names, and the families, of a page.
const maxRawNames = 20_000

// Collect reads a page; the Raw then holds that page alone. Lines that cannot be read are omitted and counted.
func (r *Raw) Collect(page []byte, f Format, src *Source) Stats {
	return r.collect(page, f, src, func([]byte) bool { return true })
}

// CollectUnmapped is Collect of the native metrics that a mapping does not name.
func (r *Raw) CollectUnmapped(page []byte, f Format, src *Source, plan *mapping.Plan) Stats {
	return r.collect(page, f, src, func(name []byte) bool { return !mapped(plan, name) })
}

// collect collects the samples whose names are wanted.
func (r *Raw) collect(page []byte, f Format, src *Source, wanted func(name []byte) bool) Stats {
	if r.Limiter != nil {
		r.Limiter.beginPage()
		defer r.Limiter.endPage()
	}
	r.beginPage(src)
	var stats Stats
	limit := MaxSamples
	if r.MaxSamples > 0 {
		limit = min(r.MaxSamples, MaxSamples)
	}
	lines := exposition.NewScanner(page, f)
	for lines.Scan() {
		line := lines.Line()
		switch lines.Kind() {
		case exposition.HelpLine:
			if fam := r.family(lines.Name()); fam != nil && fam.help == "" {
				fam.help = string(exposition.Unescape(nil, lines.Text()))
			}
			continue
		case exposition.TypeLine:
			if fam := r.family(lines.Name()); fam != nil {
				fam.conflict = fam.conflict || fam.typ != "" && fam.typ != string(lines.Text())
				fam.typ = string(lines.Text())
			}
			continue
		case exposition.UnitLine:
			continue
		}
		stats.Lines++
		if err := r.sample.Parse(line); err != nil {
			stats.addParseError(lines.Number(), line, err)
			continue
		}
		if wanted(r.sample.Name) {
			r.addSample(line, &stats, limit)
		}
	}
	if f == OpenMetrics {
		for i := range r.families {
			r.families[i].convert()
		}
	}
	r.sample.Forget()
	r.labels.releasePage()
	for i := range r.byName {
		b := &r.byName[i].lines
		b.known.releasePage()
		if b.newSeries.usage != nil {
			r.leftOut = r.Limiter.leftOut(r.leftOut, &b.newSeries, r.byName[i].name)
			b.newSeries.endPage()
		}
	}
	stats.Families = len(r.byName)
	return stats
}

func (r *Raw) beginPage(src *Source) {
	if src == nil {
		src = NewSource(nil)
	}
	if r.index == nil {
		r.index, r.declared = map[string]int32{}, map[string]int32{}
	}
	clear(r.index)
	clear(r.declared)
	r.byName, r.families, r.leftOut = r.byName[:0], r.families[:0], r.leftOut[:0]
	if r.Limiter != nil {
		r.labels.seed = r.Limiter.seed
	}
	r.labels.prepare(src, nil, nil)
	r.memory.reset(r.Memory)
	r.labels.chargeTo(&r.memory)
}

// family returns the HELP and TYPE of a native metric, nil if there are too many.
func (r *Raw) family(name []byte) *rawFamily {
	i, ok := r.declared[string(name)]
	if !ok {
		if len(r.families) == maxRawNames {
			return nil
		}
		i = int32(len(r.families))
		r.families = append(r.families, rawFamily{name: string(name)})
		r.declared[r.families[i].name] = i
	}
	return &r.families[i]
}

// samplesOf returns the samples of a name, nil if there are too many names.
func (r *Raw) samplesOf(name []byte) *rawSamples {
	i, ok := r.index[string(name)]
	if !ok {
		if len(r.byName) == maxRawNames {
			return nil
		}
		i = int32(len(r.byName))
		if cap(r.byName) > len(r.byName) {
			r.byName = r.byName[:i+1] // with the memory of an earlier page
			r.byName[i].lines.reset()
			r.byName[i].lines.newSeries = pageUsage{}
			r.byName[i] = newRawSamples(name, r.byName[i].lines)
		} else {
			r.byName = append(r.byName, newRawSamples(name, lineBuffer{}))
		}
		r.index[r.byName[i].name] = i
	}
	return &r.byName[i]
}

// addSample adds the sample that was parsed from line.
func (r *Raw) addSample(line []byte, stats *Stats, limit int) {
	sample := &r.sample
	g := r.samplesOf(sample.Name)
	if g == nil {
		stats.OverLimit++
		return
	}
	k := kindValue
	if bytes.HasSuffix(sample.Name, suffixes[kindBucket]) && exposition.ValidNumber(labelValue(sample.Labels, labelLE)) {
		k = kindBucket
	}
	lt, le := r.labels.find(0, line, sample, k == kindBucket)
	size := lt.lineSize(g.name, le, sample.Value)
	if stats.Samples == limit {
		stats.OverLimit++
		return
	}
	if r.Limiter != nil && !r.admits(g, k, lt, le) {
		g.lines.newSeries.noteLeftOut(lt, le, r.labels.source)
		return
	}
	if !r.memory.take(size + seriesBytes) {
		stats.OverMemory++
		return
	}
	g.check(sample)
	if !g.lines.add(size, g.name, k, lt, le, sample.Value, &r.labels) {
		stats.Duplicates++
		r.memory.release(size + seriesBytes)
		return
	}
	stats.Samples++
}

// admits asks the limiter about a sample. The parts of a family are counted together.
func (r *Raw) admits(g *rawSamples, k kind, lt *labelTemplate, le []byte) bool {
	lines := 1
	switch {
	case k == kindBucket, g.part && r.isHistogram(g.family):
		lines = assumedLines
	case g.part, lt.hasQuantile:
		lines = fixedLines
	}
	if k == kindValue && g.part && !lt.hasQuantile {
		k = kindCount
	}
	return r.Limiter.admit(&g.lines.newSeries, g.family, k, lines, lt, le)
}

func (r *Raw) isHistogram(family string) bool {
	i, ok := r.declared[family]
	return ok && r.families[i].typ == "histogram"
}

// LeftOut returns what the Limiter left out of the last page.
func (r *Raw) LeftOut() []LeftOut { return r.leftOut }

// Trim releases all memory, as Result.Trim does.
func (r *Raw) Trim() {
	r.memory.giveBack()
	*r = Raw{MaxSamples: r.MaxSamples, Memory: r.Memory, Limiter: r.Limiter}
}

// Granted returns how many bytes of Memory the Raw holds.
func (r *Raw) Granted() int { return r.memory.granted }

// check notes which types the sample does not fit.
func (g *rawSamples) check(sample *exposition.Sample) {
	for _, l := range sample.Labels {
		switch {
		case string(l.Name) == labelLE && !exposition.ValidNumber(l.Value):
			g.noHistogram = true
		case string(l.Name) == labelQuantile && !exposition.ValidNumber(l.Value):
			g.noSummary = true
		}
	}
	g.negative = g.negative || sample.Value[0] == '-' && negative(sample.Value)
}

// convert converts a family from OpenMetrics to text 0.0.4, where a family has the name of its samples and some types do not
// exist.
func (f *rawFamily) convert() {
	suffix := ""
	switch f.typ {
	case "counter":
		suffix = "_total"
	case "info":
		suffix, f.typ = "_info", "gauge"
	case "stateset":
		f.typ = "gauge"
	}
	if !strings.HasSuffix(f.name, suffix) {
		f.name += suffix
	}
}
