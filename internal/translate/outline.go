package translate

import (
	"bytes"
	"slices"
	"unsafe"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// An outline is a page with gaps where its values stand. From scrape to scrape an engine's page mostly changes in nothing
// else, and then the lines that the last page became need new values only. A page that does not fit is read as any other,
// and after it a new outline is made.
type outline struct {
	// What the outline holds for. No plan: there is none.
	plan   *mapping.Plan
	source *Source
	format Format

	page    []byte
	gaps    []gap
	values  []span // of the page that is being filled in, by gap
	lines   []outLine
	blocks  []outBlock // by family
	samples int
	stats   Stats // but for what the values decide

	state  outlineState
	learnt uint64 // shapes that were known when the making began
	window uint32 // of Result.SeriesLimiter, at that time
	redo   bool   // there are gaps with redo
	filled int    // pages since
	// pause is how many pages to let pass before the next is made, rest how many are left of it.
	pause, rest int
	scratch     []byte
}

type outlineState uint8

const (
	noOutline outlineState = iota
	makingOutline
	hasOutline
)

// Bounds of an outline. A page beyond them has none.
const (
	maxOutlineBytes = 4 << 20
	maxOutlineGaps  = 64 << 10
	maxOutlineLine  = 64 << 10
	maxOutlinePause = 64
	// worthwhile is how many pages must fit an outline for another one to be made at once.
	worthwhile = 4
)

// A span is a part of a page.
type span struct{ start, end uint32 }

// A gap is a value of a page, or all that follows the name of an unmapped line and the byte after it.
type gap struct {
	span
	unmapped bool
	// counts says that the value is a bucket's or a count, which cannot be negative.
	counts bool
	// redo says that a target looks at the value, so the sample goes the way of any other. unselected says that no target took
	// it, taken that one did for which the value does not matter.
	redo, unselected, taken bool
	first, last             int32 // its part of lines
}

// An outLine is what a target makes of a gap's sample. Kept are those whose family is made anew for each page.
type outLine struct {
	output *output
	shape  *shape
	le     span
	outValue
	// cleared is how often the block had been cleared before.
	cleared int32
	written bool
}

// An outBlock is the lines of a family.
type outBlock struct {
	values []outValue
	// redo says that the family is made anew for each page.
	redo    bool
	cleared int32
}

// An outValue is a value in a block's lines.
type outValue struct {
	shape   *shape
	gap     int32
	at, end uint32 // equal: the mapping says what stands there
	check   checked
}

// checked is what a value is to the block's histogramCheck.
type checked uint8

const (
	notChecked checked = iota
	checkedBucket
	checkedInfinite // the bucket without a bound
	checkedCount
)

// wanted reports whether an outline should be made of a page that fits no outline.
func (o *outline) wanted(page []byte, s *shapes) bool {
	if s.n == 0 || len(page) > maxOutlineBytes {
		return false // what a page teaches shows in the next one
	}
	if o.rest > 0 {
		o.rest--
		return false
	}
	return s.memory.take(len(page))
}

// begin begins to make an outline.
func (o *outline) begin(page []byte, f Format, r *Result) {
	o.state = makingOutline
	o.plan, o.source, o.format, o.learnt = r.vocabulary.plan, r.shapes.source, f, r.shapes.learnt
	if r.Limiter != nil {
		o.window = r.Limiter.window.Load()
	}
	o.page = append(o.page[:0], page...)
	o.blocks = make([]outBlock, len(r.blocks))
}

// drop forgets the outline, and lets the more pages pass before the next one the less the last ones were of use.
func (o *outline) drop() {
	if o.filled >= worthwhile {
		o.pause = 0
	} else {
		o.pause = min(max(1, 2*o.pause), maxOutlinePause)
	}
	*o = outline{pause: o.pause, rest: o.pause}
}

// skip notes an unmapped line, whose name is given.
func (o *outline) skip(pos int, name []byte) {
	if o.state != makingOutline {
		return
	}
	at := pos + len(name)
	if at == len(o.page) || o.page[at] != ' ' && o.page[at] != '{' {
		o.drop()
		return
	}
	end := bytes.IndexByte(o.page[at:], '\n')
	if end < 0 {
		end = len(o.page) - at
	}
	o.add(gap{span: span{uint32(at + 1), uint32(at + end)}, unmapped: true})
}

// take notes a mapped line, before its outputs.
func (o *outline) take(pos int, line []byte, sample *exposition.Sample) {
	if o.state != makingOutline {
		return
	}
	if len(line) > maxOutlineLine {
		o.drop()
		return
	}
	at := uint32(pos + sample.At)
	n := int32(len(o.lines))
	o.add(gap{span: span{at, at + uint32(len(sample.Value))}, first: n, last: n})
}

func (o *outline) add(g gap) {
	if len(o.gaps) == maxOutlineGaps {
		o.drop()
		return
	}
	o.gaps = append(o.gaps, g)
}

// write is Result.write of the line that was taken last, and notes what becomes of it.
func (o *outline) write(r *Result, out *output, sh *shape, pos int, le []byte) fate {
	b := &r.blocks[out.family]
	before, rank := b.samples, b.rank
	what := r.write(out, sh, le, r.sample.Value)
	if o.state != makingOutline {
		return what
	}
	ob := &o.blocks[out.family]
	if before > 0 && b.rank != rank {
		ob.cleared++
		before = 0
	}
	g := &o.gaps[len(o.gaps)-1]
	g.counts = g.counts || out.kind == kindBucket || out.kind == kindCount
	l := outLine{output: out, shape: sh, cleared: ob.cleared, written: b.samples > before}
	l.outValue = outValue{shape: sh, gap: int32(len(o.gaps) - 1)}
	if i := slices.IndexFunc(r.sample.Labels, func(l exposition.Label) bool { return string(l.Name) == labelLE }); i >= 0 && le != nil {
		at := uint32(pos + r.sample.Labels[i].At)
		l.le = span{at, at + uint32(len(le))}
	}
	switch {
	case out.summary:
	case out.kind == kindCount:
		l.check = checkedCount
	case out.kind == kindBucket:
		l.check = checkedBucket
		if unbounded(le) {
			l.check = checkedInfinite
		}
	}
	if c := out.change; sh.sum || c != nil && (len(c.Ignore) > 0 || c.Scale != 1) {
		ob.redo = true
	} else if l.written {
		l.end = uint32(len(b.buf) - 1)
		l.at = l.end
		if sh.value == nil {
			l.at -= uint32(len(r.sample.Value))
		}
	}
	o.lines = append(o.lines, l)
	g.last++
	return what
}

// unselected notes that no target took the line that was taken last.
func (o *outline) unselected() {
	if o.state == makingOutline {
		o.gaps[len(o.gaps)-1].unselected = true
	}
}

// finish makes the outline ready, or drops one that would not do for the next page.
func (o *outline) finish(stats Stats, s *shapes, m *memory) {
	if o.state != makingOutline {
		return
	}
	if s.learnt != o.learnt || stats.ParseErrors+stats.OverLimit+stats.OverMemory+stats.Duplicates > 0 {
		o.drop()
		return
	}
	kept := 0
	for i := range o.gaps {
		g := &o.gaps[i]
		lines := o.lines[g.first:g.last]
		g.first = int32(kept)
		for _, l := range lines {
			b := &o.blocks[l.output.family]
			switch {
			case b.redo:
				g.redo, o.redo = true, true
				o.lines[kept] = l
				kept++
				continue
			case l.written && l.cleared == b.cleared:
				b.values = append(b.values, l.outValue)
			}
			g.taken = g.taken || !l.shape.skip
		}
		g.last = int32(kept)
		if g.redo && g.unselected {
			stats.Unselected-- // it is decided anew
		}
	}
	o.lines = slices.Clip(o.lines[:kept])
	o.values = make([]span, len(o.gaps))
	o.samples = stats.Samples
	stats.Samples, stats.Families, stats.InvalidHistograms = 0, 0, 0 // blocks know
	o.stats, o.state = stats, hasOutline
	if !m.take(o.bytes() - len(o.page)) {
		o.drop()
	}
}

// bytes is what the outline holds.
func (o *outline) bytes() int {
	n := len(o.page) + len(o.gaps)*int(unsafe.Sizeof(gap{})+unsafe.Sizeof(span{})) + len(o.lines)*int(unsafe.Sizeof(outLine{})) + cap(o.scratch)
	for i := range o.blocks {
		n += len(o.blocks[i].values) * int(unsafe.Sizeof(outValue{}))
	}
	return n
}

// fits finds the values of a page, and reports whether the page is the outline's but for them.
func (o *outline) fits(page []byte) bool {
	pos, from := 0, uint32(0)
	for i := range o.gaps {
		g := &o.gaps[i]
		text := o.page[from:g.start]
		if len(page)-pos < len(text) || string(page[pos:pos+len(text)]) != string(text) {
			return false
		}
		pos += len(text)
		rest, n := page[pos:], 0
		if g.unmapped {
			if n = bytes.IndexByte(rest, '\n'); n < 0 {
				n = len(rest)
			}
		} else if n = exposition.PlainNumberLen(rest); n == 0 {
			if n = bytes.IndexAny(rest[:min(len(rest), maxOutlineLine)], " \t\r\n"); n < 0 || !exposition.ValidNumber(rest[:n]) {
				return false
			}
		}
		if g.counts && rest[0] == '-' {
			return false
		}
		o.values[i] = span{uint32(pos), uint32(pos + n)}
		pos += n
		from = g.end
	}
	return string(page[pos:]) == string(o.page[from:])
}

// fill translates a page that fits the outline, if it does.
func (r *Result) fill(page []byte, f Format, plan *mapping.Plan, src *Source) (Stats, bool) {
	o := &r.outline
	if o.plan != plan || o.source != src || r.shapes.users != r.Users || o.format != f || o.samples > r.sampleLimit() || len(page) > 2*maxOutlineBytes || !o.fits(page) {
		return Stats{}, false
	}
	if r.Limiter != nil {
		if !r.Limiter.holds(o.window) {
			return Stats{}, false // what is known of the page's series must not be forgotten
		}
		if o.redo {
			r.Limiter.mu.Lock()
			defer r.Limiter.end()
		}
	}
	o.filled++
	r.stats, r.limit = o.stats, r.sampleLimit()
	r.samples = 0
	r.memory.reset(r.More)
	r.shapes.charge(&r.memory)
	r.memory.take(o.bytes())
	for i := range o.blocks {
		b := &r.blocks[i]
		if o.blocks[i].redo {
			b.reset()
			continue
		}
		b.fill(o.blocks[i].values, page, o)
		r.samples += b.samples
		r.memory.left -= len(b.buf) + b.samples*seriesBytes
	}
	for i := range o.gaps {
		if g := &o.gaps[i]; g.redo {
			r.redo(g, page[o.values[i].start:o.values[i].end])
		}
	}
	return r.finish(), true
}

// redo makes a gap's sample anew for the families that need it.
func (r *Result) redo(g *gap, value []byte) {
	o := &r.outline
	selected := g.taken
	for i := range o.lines[g.first:g.last] {
		l := &o.lines[int(g.first)+i]
		if r.write(l.output, l.shape, o.page[l.le.start:l.le.end:l.le.end], value) != unselected {
			selected = true
		}
	}
	if !selected {
		r.stats.Unselected++
	}
}

// fill puts the values of a page into the block's lines.
func (b *block) fill(values []outValue, page []byte, o *outline) {
	i := 0
	for ; i < len(values); i++ {
		v := &values[i]
		value := page[o.values[v.gap].start:o.values[v.gap].end]
		if v.at != v.end && int(v.end-v.at) != len(value) {
			break
		}
		b.check.take(v.check, v.shape, value)
		if v.at != v.end {
			copy(b.buf[v.at:v.end], value)
		}
	}
	if i == len(values) {
		return
	}
	// From the first value of another length on, all lines move.
	moved := values[i].at
	o.scratch = append(o.scratch[:0], b.buf[moved:]...)
	b.buf = b.buf[:moved]
	from := moved
	for ; i < len(values); i++ {
		v := &values[i]
		value := page[o.values[v.gap].start:o.values[v.gap].end]
		b.check.take(v.check, v.shape, value)
		b.buf = append(b.buf, o.scratch[from-moved:v.at-moved]...)
		from = v.end
		if v.at == v.end {
			v.at = uint32(len(b.buf))
		} else {
			v.at = uint32(len(b.buf))
			b.buf = append(b.buf, value...)
		}
		v.end = uint32(len(b.buf))
	}
	b.buf = append(b.buf, o.scratch[from-moved:]...)
}

// take takes a value of an outline.
func (c *histogramCheck) take(what checked, sh *shape, value []byte) {
	switch what {
	case notChecked:
	case checkedCount:
		c.total(sh, value)
	default:
		c.bucket(sh, what == checkedInfinite, value)
	}
}
