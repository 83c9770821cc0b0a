package translate

import (
	"bytes"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// Result is one page translated. It is for one goroutine at a time, and keeps its memory and what it learned about the
// page's form for the next Translate, so an instance should have a Result of its own. The zero value is ready for use.
type Result struct {
	// MaxSamples bounds the samples of a page; 0: the constant of that name, which it cannot exceed.
	MaxSamples int
	// More is asked for more memory, in bytes, when a page needs more than 2 MiB: for what it becomes and for what is
	// remembered about it. What More grants stays granted until Trim; nil grants all.
	More func(bytes int) bool

	// Users decides what stands in label user; nil: what the page says.
	Users *Users
	// SeriesLimiter decides which new series are let through; nil: all.
	Limiter *SeriesLimiter

	families   []mapping.Family
	blocks     []block // by family
	vocabulary vocabulary
	shapes     shapes
	sample     exposition.Sample
	outline    outline
	stats      Stats
	samples    int // in all blocks
	memory     memory
	limit      int // of samples
	// scratch holds what a target makes of a sample's value and bound.
	scratch, bound []byte
	leftOut        []LeftOut
}

// Translate translates a page. What the Result held before is gone. It does not fail: what cannot be read is left out and
// counted. The page is not kept.
func (r *Result) Translate(page []byte, f Format, plan *mapping.Plan, src *Source) Stats {
	if r.outline.state == hasOutline {
		if stats, ok := r.fill(page, f, plan, src); ok {
			return stats
		}
		r.outline.drop()
	}
	if r.Limiter != nil {
		r.Limiter.begin()
		defer r.Limiter.end()
	}
	r.reset(plan, src)
	if r.outline.wanted(page, &r.shapes) {
		r.outline.begin(page, f, r)
		for pos, cur := 0, int32(0); pos < len(page); {
			pos, cur = r.slowLine(page, pos, cur, f)
		}
	} else {
		r.lines(page, f)
	}
	stats := r.finish()
	if len(r.leftOut) > 0 {
		r.outline.drop() // what is left out may be let through in the next page
	}
	r.outline.finish(stats, &r.shapes, &r.memory)
	if r.outline.state == hasOutline {
		for i := range r.blocks {
			r.blocks[i].trim() // they may stay for long
		}
	}
	return stats
}

// lines takes all lines of a page.
func (r *Result) lines(page []byte, f Format) {
	cur := int32(0)
	for pos := 0; pos < len(page); {
		rest := page[pos:]
		if rest[0] == '#' {
			line, next := cutLine(page, pos)
			if r.comment(line, f) {
				break
			}
			pos = next
			continue
		}
		s := &r.vocabulary.list[cur]
		if !s.begins(rest) {
			next := s.next
			if !r.vocabulary.list[next].begins(rest) {
				pos, cur = r.slowLine(page, pos, cur, f)
				continue
			}
			cur = next
			s = &r.vocabulary.list[cur]
		}
		if len(s.outputs) == 0 {
			r.stats.Lines++
			r.stats.Unmapped++
			if s.page != r.vocabulary.page && r.vocabulary.countUnmapped(s) {
				r.stats.UnmappedFamilies++
			}
			n := bytes.IndexByte(rest, '\n')
			if n < 0 {
				break
			}
			pos += n + 1
			continue
		}
		if n := r.fastLine(s, rest); n > 0 {
			r.stats.Lines++
			pos += n
			continue
		}
		line, next := cutLine(page, pos)
		r.parsedLine(s, page, pos, line)
		pos = next
	}
}

func (r *Result) reset(plan *mapping.Plan, src *Source) {
	if src == nil {
		src = NewSource(nil)
	}
	r.families = plan.Families()
	if len(r.blocks) != len(r.families) {
		r.blocks = make([]block, len(r.families))
	}
	for i := range r.blocks {
		r.blocks[i].reset()
		r.blocks[i].growing = growing{}
	}
	r.vocabulary.use(plan)
	if r.Limiter != nil {
		r.shapes.seed = r.Limiter.seed
	}
	r.shapes.use(src, plan, r.Users)
	r.stats = Stats{}
	r.limit = r.sampleLimit()
	r.samples = 0
	r.memory.reset(r.More)
	r.shapes.charge(&r.memory)
}

// Trim gives all memory back, so that the next page is as the first one. It returns how many bytes More had granted.
func (r *Result) Trim() (granted int) {
	granted = r.memory.granted
	*r = Result{MaxSamples: r.MaxSamples, More: r.More, Users: r.Users, Limiter: r.Limiter}
	return granted
}

// LeftOut says what was left out of the last page because of SeriesLimiter. It is valid until the next Translate.
func (r *Result) LeftOut() []LeftOut { return r.leftOut }

// Source returns the source of the last page.
func (r *Result) Source() *Source { return r.shapes.source }

// Granted returns how many bytes More has granted.
func (r *Result) Granted() int { return r.memory.granted }

func (r *Result) sampleLimit() int {
	if r.MaxSamples > 0 {
		return min(r.MaxSamples, MaxSamples)
	}
	return MaxSamples
}

// finish lets go of the page and adds up what became of it.
func (r *Result) finish() Stats {
	r.sample.Forget()
	r.shapes.forget()
	r.leftOut = r.leftOut[:0]
	for i := range r.blocks {
		b := &r.blocks[i]
		if b.growing.account != nil {
			r.leftOut = r.Limiter.leftOut(r.leftOut, &b.growing, r.families[i].WireName)
			b.growing.endPage()
		}
		r.scratch = b.writeSums(r.scratch)
		b.check.end()
		r.stats.InvalidHistograms += b.check.invalid
		b.check = histogramCheck{}
		r.stats.Samples += b.samples
		r.stats.Duplicates += b.duplicates
		b.seen.forget()
		if b.samples > 0 {
			r.stats.Families++
		}
	}
	return r.stats
}

// comment takes a line that begins with # and reports whether it ends the page.
func (r *Result) comment(line []byte, f Format) (end bool) {
	if f == OpenMetrics && string(line) == "# EOF" {
		return true
	}
	if len(line) > 2 && line[2] == 'H' {
		return false // HELP has nothing to say here
	}
	if r.vocabulary.conflict(line) {
		r.stats.TypeConflicts++
	}
	return false
}

// slowLine takes a line that is neither of the series before nor of its successor. It returns where the next line begins
// and the series to compare it with.
func (r *Result) slowLine(page []byte, pos int, cur int32, f Format) (next int, series int32) {
	line, next := cutLine(page, pos)
	if len(line) == 0 {
		return next, cur
	}
	if line[0] == '#' {
		if r.comment(line, f) {
			return len(page), cur
		}
		return next, cur
	}
	name := line[:exposition.MetricNameLen(line)]
	if len(name) == 0 {
		r.stats.Lines++
		r.fault(page, pos, line, exposition.ErrName)
		return next, cur
	}
	found := r.vocabulary.find(name, &r.shapes)
	if int(cur) < len(r.vocabulary.list) {
		r.vocabulary.list[cur].next = found
	}
	s := &r.vocabulary.list[found]
	if len(s.outputs) == 0 {
		r.stats.Lines++
		r.stats.Unmapped++
		if r.vocabulary.countUnmapped(s) {
			r.stats.UnmappedFamilies++
		}
		r.outline.skip(pos, name)
	} else {
		r.parsedLine(s, page, pos, line)
	}
	return next, found
}

// fastLine takes a line of a series whose label block is that of the line before it, or of the one that followed that the
// last time. It returns the length of the line, its end included, or 0 where it does not know such a line.
func (r *Result) fastLine(s *series, rest []byte) int {
	if !s.uniform {
		return 0
	}
	n := len(s.name)
	var sh *shape
	var le []byte
	if s.outputs[0].kind != kindBucket {
		list := &r.shapes.forms[s.outputs[0].form].plain
		sh = &list.list[list.cur]
		if !hasPrefix(rest[n:], sh.before) {
			next := sh.next
			if sh = &list.list[next]; !hasPrefix(rest[n:], sh.before) {
				return 0
			}
			list.cur = next
		}
		n += len(sh.before)
	} else {
		list := &r.shapes.forms[s.outputs[0].form].gapped
		sh = &list.list[list.cur]
		var m int
		if le, m = sh.matchGap(rest[n:]); m == 0 {
			next := sh.next
			sh = &list.list[next]
			if le, m = sh.matchGap(rest[n:]); m == 0 {
				return 0
			}
			list.cur = next
		}
		n += m
	}
	m := exposition.PlainNumberLen(rest[n:])
	if m == 0 {
		return 0
	}
	value := rest[n : n+m]
	n += m
	switch {
	case n < len(rest) && rest[n] == '\n':
		n++
	case n == len(rest):
	case n+1 < len(rest) && rest[n] == '\r' && rest[n+1] == '\n':
		n += 2
	default:
		return 0
	}
	what := taken
	for i := range s.outputs {
		if what = r.write(&s.outputs[i], sh, le, value); what == refused {
			return 0
		}
	}
	if what == unselected {
		r.stats.Unselected++
	}
	return n
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// matchGap compares the text that follows a name with a gapped shape. It returns the value of le and the length of what
// comes before the sample's value, 0 if it is another shape or le is no plain number.
func (sh *shape) matchGap(b []byte) (le []byte, n int) {
	if !hasPrefix(b, sh.before) {
		return nil, 0
	}
	le = b[len(sh.before):]
	n = exposition.PlainNumberLen(le)
	if n == 0 {
		if !hasPrefix(le, "+Inf") {
			return nil, 0
		}
		n = len("+Inf")
	}
	if !hasPrefix(le[n:], sh.after) {
		return nil, 0
	}
	return le[:n], len(sh.before) + n + len(sh.after)
}

// parsedLine takes a line of a mapped series apart.
func (r *Result) parsedLine(s *series, page []byte, pos int, line []byte) {
	r.stats.Lines++
	if err := r.sample.Parse(line); err != nil {
		r.fault(page, pos, line, err)
		return
	}
	r.outline.take(pos, line, &r.sample)
	worst, selected := taken, false
	for i := range s.outputs {
		o := &s.outputs[i]
		what := refused
		if sh, le := r.shapes.find(o.form, line, &r.sample, o.kind == kindBucket); sh != nil {
			what = r.outline.write(r, o, sh, pos, le)
		}
		selected = selected || what != unselected
		if what == refused {
			worst = refused
		}
	}
	if worst == refused {
		r.fault(page, pos, line, errHistogram)
	}
	if !selected {
		r.stats.Unselected++
		r.outline.unselected()
	}
}

// fault counts a parse error in the line that begins at pos. Its number is worked out only where it is wanted. Where users'
// names are hashed the line is shown by its metric's name alone: a log reads it.
func (r *Result) fault(page []byte, pos int, line []byte, err error) {
	number := 0
	if r.stats.FirstError == "" {
		number = bytes.Count(page[:pos], []byte{'\n'}) + 1
	}
	if r.Users.hashes() {
		line = line[:exposition.MetricNameLen(line)]
	}
	r.stats.fault(number, line, err)
}

const errHistogram exposition.LineError = "le or quantile is not a number, or a count is negative"

// A fate is what becomes of a sample.
type fate uint8

const (
	taken      fate = iota // also where another native's samples, or a limit, leave it out
	refused                // no histogram or summary can have it
	unselected             // the mapping's target does not take samples with these labels or this value
)

// write writes a sample for one of its series' outputs.
func (r *Result) write(o *output, sh *shape, le, value []byte) fate {
	c := o.change
	switch {
	case sh.skip, c != nil && len(c.Ignore) > 0 && o.kind == kindValue && ignored(c.Ignore, value):
		return unselected
	case o.kind == kindValue && sh.quantile != o.summary:
		return taken
	case o.summary && sh.badQuantile, !o.summary && o.kind != kindValue && sh.badLE:
		return refused
	case (o.kind == kindBucket || o.kind == kindCount) && value[0] == '-' && negative(value):
		return refused
	}
	b := &r.blocks[o.family]
	if b.samples > 0 && o.rank != b.rank {
		if o.rank > b.rank {
			return taken
		}
		r.memory.give(len(b.buf) + b.reserved + b.samples*seriesBytes)
		r.samples -= b.samples
		b.clear()
	}
	b.rank = o.rank
	switch {
	case o.summary:
	case o.kind == kindBucket:
		b.check.bucket(sh, unbounded(le), value)
	case o.kind == kindCount:
		b.check.total(sh, value)
	}
	if c != nil {
		le, value = r.change(o, c, sh, le, value, b)
	}
	size := sh.lineSize(o.name, le, value)
	if sh.sum {
		size += max(0, maxValueBytes-len(value))
	}
	size += seriesBytes
	if r.samples == r.limit {
		r.stats.OverLimit++
		return taken
	}
	if r.Limiter != nil && !r.Limiter.admits(&b.growing, r.families[o.family].WireName, o.kind, o.lines(), sh, le) {
		b.growing.note(sh, le, r.shapes.source)
		return taken
	}
	if size > r.memory.left && !r.memory.ask(size) && !r.makeRoom(size) {
		r.stats.OverMemory++
		return taken
	}
	if sh.sum {
		if b.addUp(o.name, o.kind, sh, le, value, c == nil || c.Scale == 1, &r.shapes) {
			r.samples++
			r.memory.left -= size
			b.reserved += size - seriesBytes
		}
		return taken
	}
	if b.add(size-seriesBytes, o.name, o.kind, sh, le, value, &r.shapes) {
		r.samples++
		r.memory.left -= size
	}
	return taken
}

// seriesBytes is about what is remembered of a series besides its line.
const seriesBytes = 32

// change returns the bound and the value that a target makes of a sample's.
func (r *Result) change(o *output, c *mapping.Change, sh *shape, le, value []byte, b *block) (newLE, newValue []byte) {
	if sh.value != nil {
		return le, sh.value
	}
	if c.Scale == 1 {
		return le, value
	}
	if o.kind != kindCount && o.kind != kindBucket {
		r.scratch = appendScaled(r.scratch[:0], value, c.Scale)
		value = r.scratch
	}
	if o.kind == kindBucket {
		r.bound = appendScaled(r.bound[:0], le, c.Scale)
		le = r.bound
		// Bounds that differ may be equal when they are scaled, and r.bound does not last.
		if !b.seen.strict && !sh.sum {
			b.makeStrict(&r.shapes)
		}
	}
	return le, value
}

// Feeds reports whether the last page has samples of a family, given by its index in the plan's Families.
func (r *Result) Feeds(family int) bool {
	return family < len(r.blocks) && r.blocks[family].samples > 0
}

// Coverage returns how many of the families that count (mapping.Plan.Core) the last page has samples of, and how many count.
func (r *Result) Coverage(plan *mapping.Plan) (fed, of int) {
	core := plan.Core()
	for _, family := range core {
		if r.Feeds(family) {
			fed++
		}
	}
	return fed, len(core)
}

// negative reports whether a number that begins with a minus is less than zero.
func negative(value []byte) bool {
	v, _ := exposition.ParseNumber(value)
	return v < 0
}

// Merge writes the families that have samples in any of the results, in the order of families and within one in the
// order of results: HELP and TYPE once, then all lines. Results of another generation of the mapping take part with the
// families that have the same name and type there; nil results are skipped. The sources of the results must differ, else
// series come twice. The lines are referred to: the results must stay as they are until dst is written.
func Merge(dst *exposition.Writer, families []mapping.Family, results ...*Result) {
	for i := range families {
		f := &families[i]
		begun := false
		for _, r := range results {
			lines := r.familyLines(f, i)
			if len(lines) == 0 {
				continue
			}
			if !begun {
				dst.Family(f.WireName, string(f.Type), f.Help)
				begun = true
			}
			dst.Refer(lines)
		}
	}
}

// familyLines returns the lines of a family, which is probably the one at index i.
func (r *Result) familyLines(f *mapping.Family, i int) []byte {
	if r == nil {
		return nil
	}
	if i >= len(r.families) || r.families[i].WireName != f.WireName {
		for i = range r.families {
			if r.families[i].WireName == f.WireName {
				break
			}
		}
	}
	if i >= len(r.families) || r.families[i].WireName != f.WireName || r.families[i].Type != f.Type {
		return nil
	}
	return r.blocks[i].buf
}
