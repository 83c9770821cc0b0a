package translate

import (
	"bytes"
	"strings"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// Raw is one page with the engine's own names and the labels of its instance. All samples are kept, _created and quantiles
// too; timestamps and exemplars are not. It is for one goroutine at a time and keeps its memory for the next Collect. The
// zero value is ready for use.
type Raw struct {
	// MaxSamples bounds the samples of a page; 0: the constant of that name, which it cannot exceed.
	MaxSamples int
	// More is asked for more memory, as Result.More is.
	More func(bytes int) bool
	// SeriesLimiter decides which new series are let through, as Result.SeriesLimiter does.
	Limiter *SeriesLimiter

	memory   memory
	names    []rawSamples // by name, in the order of the page
	index    map[string]int32
	families []rawFamily // with HELP or TYPE, in the order of the page
	declared map[string]int32
	labels   labelTemplates
	sample   exposition.Sample
	leftOut  []LeftOut
}

// A rawGroup is the samples of one name.
type rawSamples struct {
	name  string
	lines lineBuffer
	// family is what the name says that the family is, part that the name has more than it.
	family string
	part   bool
	// Parsers that know histograms and summaries refuse the whole page for such a sample, so a family that has one goes
	// without its type.
	noHistogram, noSummary bool
	// negative is no more than a _sum may be.
	negative bool
}

func newRawSamples(name []byte, b lineBuffer) rawSamples {
	g := rawSamples{name: string(name), lines: b}
	g.family = g.name[:len(familyName(name))]
	g.part = len(g.family) < len(g.name)
	return g
}

// A rawFamily is what a page says about a family, in text 0.0.4's terms.
type rawFamily struct {
	name, typ, help string
	conflict        bool // more than one type
}

// maxRawNames bounds the sample names, and the families, of a page.
const maxRawNames = 20_000

// Collect takes a page. What the Raw held before is gone. Lines that cannot be read are left out and counted.
func (r *Raw) Collect(page []byte, f Format, src *Source) Stats {
	return r.collect(page, f, src, func([]byte) bool { return true })
}

// CollectUnmapped is Collect of the families that a mapping does not take.
func (r *Raw) CollectUnmapped(page []byte, f Format, src *Source, plan *mapping.Plan) Stats {
	return r.collect(page, f, src, func(name []byte) bool { return !mapped(plan, name) })
}

// collect takes the samples of a page whose names are wanted.
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
	for i := range r.names {
		b := &r.names[i].lines
		b.known.releasePage()
		if b.newSeries.usage != nil {
			r.leftOut = r.Limiter.leftOut(r.leftOut, &b.newSeries, r.names[i].name)
			b.newSeries.endPage()
		}
	}
	stats.Families = len(r.names)
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
	r.names, r.families, r.leftOut = r.names[:0], r.families[:0], r.leftOut[:0]
	if r.Limiter != nil {
		r.labels.seed = r.Limiter.seed
	}
	r.labels.prepare(src, nil, nil)
	r.memory.reset(r.More)
	r.labels.chargeTo(&r.memory)
}

// family returns what is known about a family, nil if there are too many.
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

// group returns the samples of a name, nil if there are too many names.
func (r *Raw) samplesOf(name []byte) *rawSamples {
	i, ok := r.index[string(name)]
	if !ok {
		if len(r.names) == maxRawNames {
			return nil
		}
		i = int32(len(r.names))
		if cap(r.names) > len(r.names) {
			r.names = r.names[:i+1] // with the memory of an earlier page
			r.names[i].lines.reset()
			r.names[i].lines.newSeries = pageUsage{}
			r.names[i] = newRawSamples(name, r.names[i].lines)
		} else {
			r.names = append(r.names, newRawSamples(name, lineBuffer{}))
		}
		r.index[r.names[i].name] = i
	}
	return &r.names[i]
}

// add adds the sample that was parsed from line.
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
	sh, le := r.labels.find(0, line, sample, k == kindBucket)
	size := sh.lineSize(g.name, le, sample.Value)
	if stats.Samples == limit {
		stats.OverLimit++
		return
	}
	if r.Limiter != nil && !r.admits(g, k, sh, le) {
		g.lines.newSeries.noteLeftOut(sh, le, r.labels.source)
		return
	}
	if !r.memory.take(size + seriesBytes) {
		stats.OverMemory++
		return
	}
	g.check(sample)
	if !g.lines.add(size, g.name, k, sh, le, sample.Value, &r.labels) {
		stats.Duplicates++
		r.memory.release(size + seriesBytes)
		return
	}
	stats.Samples++
}

// admits decides about a sample. The parts of a family have one account.
func (r *Raw) admits(g *rawSamples, k kind, sh *labelTemplate, le []byte) bool {
	lines := 1
	switch {
	case k == kindBucket, g.part && r.isHistogram(g.family):
		lines = assumedSize
	case g.part, sh.hasQuantile:
		lines = partLines
	}
	if k == kindValue && g.part && !sh.hasQuantile {
		k = kindCount
	}
	return r.Limiter.admit(&g.lines.newSeries, g.family, k, lines, sh, le)
}

func (r *Raw) isHistogram(family string) bool {
	i, ok := r.declared[family]
	return ok && r.families[i].typ == "histogram"
}

// LeftOut says what was left out of the last page because of SeriesLimiter.
func (r *Raw) LeftOut() []LeftOut { return r.leftOut }

// Trim gives all memory back, as Result.Trim does.
func (r *Raw) Trim() (granted int) {
	granted = r.memory.granted
	*r = Raw{MaxSamples: r.MaxSamples, More: r.More, Limiter: r.Limiter}
	return granted
}

// Granted returns how many bytes More has granted.
func (r *Raw) Granted() int { return r.memory.granted }

// check notes whether the sample forbids a type.
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

// convert turns what OpenMetrics says about a family into text 0.0.4's terms, where a family is named like its samples and
// some types do not exist.
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
