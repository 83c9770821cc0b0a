package translate

import (
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

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

// negative reports whether a number that begins with a minus is less than zero.
func negative(value []byte) bool {
	v, _ := exposition.ParseNumber(value)
	return v < 0
}
