package translate

import (
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// A fate is what becomes of a sample.
type outcome uint8

const (
	outcomeTaken      outcome = iota // also where another native's samples, or a limit, leave it out
	outcomeInvalid                   // no histogram or summary can have it
	outcomeUnselected                // the mapping's target does not take samples with these labels or this value
)

// write writes a sample for one of its series' outputs.
func (r *Result) writeSample(o *output, sh *labelTemplate, le, value []byte) outcome {
	c := o.change
	switch {
	case sh.skip, c != nil && len(c.Ignore) > 0 && o.kind == kindValue && ignored(c.Ignore, value):
		return outcomeUnselected
	case o.kind == kindValue && sh.hasQuantile != o.summary:
		return outcomeTaken
	case o.summary && sh.badQuantile, !o.summary && o.kind != kindValue && sh.badLE:
		return outcomeInvalid
	case (o.kind == kindBucket || o.kind == kindCount) && value[0] == '-' && negative(value):
		return outcomeInvalid
	}
	b := &r.buffers[o.family]
	if b.samples > 0 && o.rank != b.rank {
		if o.rank > b.rank {
			return outcomeTaken
		}
		r.memory.release(len(b.text) + b.reservedBytes + b.samples*seriesBytes)
		r.samples -= b.samples
		b.clear()
	}
	b.rank = o.rank
	switch {
	case o.summary:
	case o.kind == kindBucket:
		b.check.addBucket(sh, isInf(le), value)
	case o.kind == kindCount:
		b.check.addCount(sh, value)
	}
	if c != nil {
		le, value = r.changeValue(o, c, sh, le, value, b)
	}
	size := sh.lineSize(o.name, le, value)
	if sh.sum {
		size += max(0, maxValueBytes-len(value))
	}
	size += seriesBytes
	if r.samples == r.limit {
		r.stats.OverLimit++
		return outcomeTaken
	}
	if r.Limiter != nil && !r.Limiter.admit(&b.newSeries, r.families[o.family].WireName, o.kind, o.expectedLines(), sh, le) {
		b.newSeries.noteLeftOut(sh, le, r.labels.source)
		return outcomeTaken
	}
	if size > r.memory.left && !r.memory.request(size) && !r.freeMemory(size) {
		r.stats.OverMemory++
		return outcomeTaken
	}
	if sh.sum {
		if b.addToSum(o.name, o.kind, sh, le, value, c == nil || c.Scale == 1, &r.labels) {
			r.samples++
			r.memory.left -= size
			b.reservedBytes += size - seriesBytes
		}
		return outcomeTaken
	}
	if b.add(size-seriesBytes, o.name, o.kind, sh, le, value, &r.labels) {
		r.samples++
		r.memory.left -= size
	}
	return outcomeTaken
}

// seriesBytes is about what is remembered of a series besides its line.
const seriesBytes = 32

// change returns the bound and the value that a target makes of a sample's.
func (r *Result) changeValue(o *output, c *mapping.Change, sh *labelTemplate, le, value []byte, b *lineBuffer) (newLE, newValue []byte) {
	if sh.fixedValue != nil {
		return le, sh.fixedValue
	}
	if c.Scale == 1 {
		return le, value
	}
	if o.kind != kindCount && o.kind != kindBucket {
		r.valueText = appendScaled(r.valueText[:0], value, c.Scale)
		value = r.valueText
	}
	if o.kind == kindBucket {
		r.boundText = appendScaled(r.boundText[:0], le, c.Scale)
		le = r.boundText
		// Bounds that differ may be equal when they are scaled, and r.bound does not last.
		if !b.known.perLine && !sh.sum {
			b.trackLines(&r.labels)
		}
	}
	return le, value
}

// negative reports whether a number that begins with a minus is less than zero.
func negative(value []byte) bool {
	v, _ := exposition.ParseNumber(value)
	return v < 0
}
