package translate

import (
	"unsafe"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate/pagetemplate"
)

// This file and recording.go are the fast path: a page that differs from the last one in its values alone is translated by
// putting the values into the last page's lines. The rest of the package does not depend on it and gives the same result for
// every page; the tests run both with and without it.

// pageTemplates switches the fast path on. Only tests change it.
var pageTemplates = true

// A fastPath is what a Result keeps for translating the next page by template.
type fastPath struct {
	template  *pageTemplate // nil: the next page is read line by line
	recording *recording    // nil: the current page does not become a template
	pacer     pagetemplate.Pacer
}

// A pageTemplate is a page with the places of its values, there and in the buffers.
type pageTemplate struct {
	page *pagetemplate.Template
	// What the template holds for.
	plan   *mapping.Plan
	source *Source
	format Format
	window uint32 // of Result.Limiter

	buffers []bufferTemplate // by family
	// revalued are the lines that go through Result.writeSample again, because a target's result depends on the value: it scales
	// values, ignores some, or adds them up. samples are those of these lines, one after the other.
	revalued []revaluedLine
	samples  []revaluedSample
	size     int   // of the samples of the page, all families together
	stats    Stats // without what depends on values
	bytes    int
}

// A bufferTemplate is the values in the lines of one family.
type bufferTemplate struct {
	// revalued says that the lines are written anew for each page.
	revalued bool
	lines    pagetemplate.Lines
	checks   []checkedValue
}

// A checkedValue is a value that takes part in the check of histograms.
type checkedValue struct {
	labels *labelTemplate
	slot   int32
	part   histogramPart
}

// A revaluedLine is a line of which at least one target looks at the value.
type revaluedLine struct {
	slot, end int32 // end is that of the line's part of pageTemplate.samples
	selected  bool  // a target takes the line whatever its value
}

// A revaluedSample is what one target makes of a line, but for the value.
type revaluedSample struct {
	output *output
	labels *labelTemplate
	le     []byte
}

// drop discards the template, or the attempt to make one.
func (p *fastPath) drop() {
	p.template, p.recording = nil, nil
	p.pacer.Miss()
}

// fillTemplate translates a page that matches the template. It returns false, and drops the template, if there is none that
// matches.
func (r *Result) fillTemplate(page []byte, f Format, plan *mapping.Plan, src *Source) (Stats, bool) {
	t := r.fast.template
	if t == nil {
		return Stats{}, false
	}
	holds := t.plan == plan && t.source == src && t.format == f && r.labels.users == r.Users && t.size <= r.sampleLimit()
	values, matches := pagetemplate.Values{}, false
	if holds {
		values, matches = t.page.Match(page)
	}
	// In a new window each series must be looked at, or the limiter forgets that it is known.
	if !matches || r.Limiter != nil && !r.Limiter.isCurrent(t.window) {
		r.fast.drop()
		return Stats{}, false
	}
	if r.Limiter != nil && len(t.revalued) > 0 {
		r.Limiter.resumePage()
		defer r.Limiter.endPage()
	}
	r.fast.pacer.Hit()
	r.stats, r.limit = t.stats, r.sampleLimit()
	r.samples = 0
	r.memory.reset(r.Memory)
	r.labels.chargeTo(&r.memory)
	r.memory.take(t.bytes)
	for i := range t.buffers {
		b, bt := &r.buffers[i], &t.buffers[i]
		if bt.revalued {
			b.reset()
			continue
		}
		b.text = bt.lines.Fill(b.text, values)
		for k := range bt.checks {
			c := &bt.checks[k]
			b.check.add(c.part, c.labels, values.At(c.slot))
		}
		r.samples += b.samples
		r.memory.left -= len(b.text) + b.samples*seriesBytes
	}
	r.writeRevalued(t, values)
	return r.endPage(), true
}

// writeRevalued writes the samples of lines whose targets look at values.
func (r *Result) writeRevalued(t *pageTemplate, values pagetemplate.Values) {
	next := int32(0)
	for i := range t.revalued {
		line := &t.revalued[i]
		value, selected := values.At(line.slot), line.selected
		for ; next < line.end; next++ {
			s := &t.samples[next]
			if r.writeSample(s.output, s.labels, s.le, value) != outcomeUnselected {
				selected = true
			}
		}
		if !selected {
			r.stats.Unselected++
		}
	}
}

// measure works out how much memory the template takes.
func (t *pageTemplate) measure() {
	t.bytes = t.page.Bytes() + len(t.revalued)*int(unsafe.Sizeof(revaluedLine{})) + len(t.samples)*int(unsafe.Sizeof(revaluedSample{}))
	for i := range t.buffers {
		t.bytes += t.buffers[i].lines.Bytes() + len(t.buffers[i].checks)*int(unsafe.Sizeof(checkedValue{}))
	}
}
