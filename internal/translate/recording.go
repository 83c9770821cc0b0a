package translate

import (
	"bytes"
	"slices"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate/pagetemplate"
)

// A recording is told what becomes of each line of a page, and makes a pageTemplate of it. All methods are for lines in the
// order of the page; on a nil recording they do nothing.
type recording struct {
	fast    *fastPath
	page    *pagetemplate.Template
	format  Format
	learned uint64 // label templates that were known when the recording began
	window  uint32 // of Result.Limiter, at that time

	lines    []recordedLine // those with targets
	samples  []recordedSample
	written  int // samples, so far
	families []recordedFamily
}

// A recordedLine is a line with targets.
type recordedLine struct {
	slot, end  int32 // end is that of the line's part of recording.samples
	unselected bool  // no target took it
}

// A recordedSample is what one target made of a line.
type recordedSample struct {
	revaluedSample
	start, end uint32 // of the value in the buffer; equal if the mapping fixes the value
	part       histogramPart
	written    bool
}

// A recordedFamily is what the recording knows of a family.
type recordedFamily struct {
	// revalued says that the lines depend on values, deferred that they are written at the end of the page: their values are
	// those of the page if no two samples became one.
	revalued, deferred bool
}

// record begins a recording of a page, if a template of it seems worth its memory.
func (r *Result) record(page []byte, f Format) {
	p := &r.fast
	// Without label templates this is the first page: one after which all are known does better.
	if !pageTemplates || r.labels.count == 0 || len(page) > pagetemplate.MaxPageBytes || !p.pacer.Ready() || !r.memory.take(len(page)) {
		return
	}
	p.recording = &recording{fast: p, page: pagetemplate.New(page), format: f, learned: r.labels.added, families: make([]recordedFamily, len(r.buffers))}
	if r.Limiter != nil {
		p.recording.window = r.Limiter.window.Load()
	}
}

// unmapped notes a line without targets.
func (c *recording) unmapped(nameEnd int) {
	if c != nil && !c.page.AddIgnored(nameEnd) {
		c.fast.drop()
	}
}

// mapped notes a line with targets.
func (c *recording) mapped(pos int, line []byte, sample *exposition.Sample) {
	if c == nil {
		return
	}
	slot, ok := c.page.AddValue(pos+sample.At, len(sample.Value))
	if !ok || len(line) > pagetemplate.MaxLineBytes {
		c.fast.drop()
		return
	}
	c.lines = append(c.lines, recordedLine{slot: slot, end: int32(len(c.samples))})
}

// wrote notes what a target made of the line that mapped noted last: it is given what Result.writeSample was given, and the Result.
func (c *recording) wrote(o *output, lt *labelTemplate, le []byte, pos int, sample *exposition.Sample, r *Result) {
	if c == nil {
		return
	}
	family := &c.families[o.family]
	line := &c.lines[len(c.lines)-1]
	s := recordedSample{revaluedSample: revaluedSample{output: o, labels: lt}, written: r.samples > c.written}
	c.written = r.samples
	if le != nil {
		i := slices.IndexFunc(sample.Labels, func(l exposition.Label) bool { return string(l.Name) == labelLE })
		s.le = c.page.Text(pos+sample.Labels[i].At, len(le))
	}
	if !o.summary {
		s.part = partOf(o.kind, le)
	}
	if o.kind == kindBucket || o.kind == kindCount {
		c.page.ForbidNegative(line.slot)
	}
	change := o.change
	switch {
	case lt.folded, change != nil && (len(change.Ignore) > 0 || change.Scale != 1):
		family.revalued = true
	case lt.sum || lt.max:
		family.deferred = true
		if lt.fixedValue == nil {
			s.end = uint32(len(sample.Value)) // template places it
		}
	case s.written:
		s.end = uint32(len(r.buffers[o.family].buffer(o).text) - 1)
		s.start = s.end
		if lt.fixedValue == nil {
			s.start -= uint32(len(sample.Value))
		}
	}
	c.samples = append(c.samples, s)
	line.end++
}

// unselected notes that no target took the line that mapped noted last.
func (c *recording) unselected() {
	if c != nil {
		c.lines[len(c.lines)-1].unselected = true
	}
}

// finishRecording makes the template, unless the page is one whose faults must be looked for anew.
func (r *Result) finishRecording(stats Stats) {
	p := &r.fast
	if len(r.leftOut) > 0 {
		p.drop() // what is left out may be let through in the next page
	}
	c := p.recording
	if c == nil {
		return
	}
	p.recording = nil
	if r.labels.added != c.learned || stats.ParseErrors+stats.OverLimit+stats.OverMemory+stats.Duplicates > 0 {
		p.drop()
		return
	}
	t := c.template(stats, r.buffers)
	t.plan, t.source = r.names.plan, r.labels.source
	if !r.memory.take(t.bytes - t.page.PageBytes()) {
		p.drop()
		return
	}
	p.template = t
	for i := range r.buffers {
		r.buffers[i].trim() // they may stay for long
	}
}

// template makes a template of what was recorded.
func (c *recording) template(stats Stats, buffers []lineBuffer) *pageTemplate {
	t := &pageTemplate{page: c.page, format: c.format, window: c.window, size: stats.Samples, buffers: make([]bufferTemplate, len(c.families))}
	for i := range t.buffers {
		b := &buffers[i]
		t.buffers[i].revalued = c.families[i].revalued || b.natives.kept || c.families[i].deferred && b.merged > 0
	}
	c.place(t, buffers)
	c.reserve(t)
	next := int32(0)
	for _, line := range c.lines {
		made := revaluedLine{slot: line.slot}
		before := len(t.samples)
		for ; next < line.end; next++ {
			s := &c.samples[next]
			b := &t.buffers[s.output.family]
			if b.revalued {
				t.samples = append(t.samples, s.revaluedSample)
				continue
			}
			made.selected = made.selected || !s.labels.skip
			if !s.stays(&buffers[s.output.family]) {
				continue
			}
			if s.start < s.end {
				b.lines.Add(line.slot, int(s.start), int(s.end))
			}
			if s.part != noPart {
				b.checks = append(b.checks, checkedValue{s.labels, line.slot, s.part})
			}
		}
		if made.end = int32(len(t.samples)); len(t.samples) == before {
			continue
		}
		t.revalued = append(t.revalued, made)
		if line.unselected {
			stats.Unselected-- // the next value decides
		}
	}
	stats.Samples, stats.Families, stats.InvalidHistograms = 0, 0, 0 // the buffers tell
	t.stats = stats
	t.measure()
	return t
}

// stays reports whether the sample was written and is in the buffer at the end of the page.
func (s *recordedSample) stays(b *lineBuffer) bool {
	return s.written && b.samples > 0 && b.rank == s.output.rank
}

// place finds the values of samples that were written at the end of the page, each for itself.
func (c *recording) place(t *pageTemplate, buffers []lineBuffer) {
	next := make([]int, len(buffers)) // where the next line begins
	for i := range c.samples {
		s := &c.samples[i]
		family := s.output.family
		b := &buffers[family]
		if !c.families[family].deferred || t.buffers[family].revalued || !s.stays(b) {
			continue
		}
		end := next[family] + bytes.IndexByte(b.text[next[family]:], '\n')
		next[family] = end + 1
		s.start, s.end = uint32(end)-s.end, uint32(end)
	}
}

// reserve allocates the slices that template fills.
func (c *recording) reserve(t *pageTemplate) {
	type counts struct{ values, checks int }
	perFamily := make([]counts, len(t.buffers))
	revalued := 0
	for i := range c.samples {
		s := &c.samples[i]
		n := &perFamily[s.output.family]
		if t.buffers[s.output.family].revalued {
			revalued++
			continue
		}
		if s.start < s.end {
			n.values++
		}
		if s.part != noPart {
			n.checks++
		}
	}
	for i, n := range perFamily {
		t.buffers[i].lines.Grow(n.values)
		t.buffers[i].checks = slices.Grow(t.buffers[i].checks, n.checks)
	}
	t.samples = slices.Grow(t.samples, revalued)
	t.revalued = slices.Grow(t.revalued, min(revalued, len(c.lines)))
}
