package translate

import (
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// An outcome is what a target makes of a sample.
type outcome uint8

const (
	outcomeTaken      outcome = iota // also if another native metric's samples, or a limit, omit it
	outcomeInvalid                   // not valid in a histogram or summary
	outcomeUnselected                // the target does not take samples with these labels or this value
)

// writeSample writes a sample to the buffer of one unified metric, unless the target does not take it, a native metric of
// better rank has its series there, or a limit is reached.
func (r *Result) writeSample(o *output, lt *labelTemplate, le, value []byte) outcome {
	c := o.change
	switch {
	case lt.skip, c != nil && len(c.Ignore) > 0 && o.kind == kindValue && ignored(c.Ignore, value):
		return outcomeUnselected
	case o.kind == kindValue && lt.hasQuantile != o.summary:
		return outcomeTaken
	case o.summary && lt.badQuantile, !o.summary && o.kind != kindValue && lt.badLE:
		return outcomeInvalid
	case (o.kind == kindBucket || o.kind == kindCount) && value[0] == '-' && negative(value):
		return outcomeInvalid
	}
	first := &r.buffers[o.family]
	b := first
	if o.shared {
		if first.isOutranked(o, lt) {
			return outcomeTaken
		}
		b = first.buffer(o)
		b.natives.fallback, b.natives.shownBy = o.fallback, o.shownBy
	}
	b.rank = o.rank
	switch {
	case o.summary:
	case o.kind == kindBucket:
		b.check.addBucket(lt, isInf(le), value)
	case o.kind == kindCount:
		b.check.addCount(lt, value)
	}
	if c != nil {
		le, value = r.changeValue(o, c, lt, le, value, b)
	}
	spelled := c == nil || c.Scale == 1 || o.kind == kindBucket || o.kind == kindCount
	var salt uint64
	if lt.max {
		salt = r.labels.lineSalt(o.name, o.kind, le)
		if group := b.findGroup(o.name, lt, le, salt); group >= 0 {
			if r.makeRoom(seriesBytes) {
				r.memory.left -= seriesBytes
				b.reservedBytes += seriesBytes
				b.addToGroup(group, lt, value, salt, spelled)
			}
			return outcomeTaken
		}
	}
	size := lt.lineSize(o.name, le, value)
	if lt.sum || lt.max {
		size += max(0, maxValueBytes-len(value))
	}
	size += seriesBytes
	if o.shared && (r.samples == r.limit || size > r.memory.left) {
		b = r.discardOutranked(first, o)
		b.rank, b.natives.fallback, b.natives.shownBy = o.rank, o.fallback, o.shownBy
	}
	if r.samples == r.limit {
		r.stats.OverLimit++
		return outcomeTaken
	}
	if r.Limiter != nil && !r.Limiter.admit(&first.newSeries, r.families[o.family].WireName, o.kind, o.expectedLines(), lt, le) {
		first.newSeries.noteLeftOut(lt, le, r.labels.source)
		return outcomeTaken
	}
	if !r.makeRoom(size) {
		return outcomeTaken
	}
	if lt.max {
		if b.addGroup(o.name, lt, le, value, salt, spelled) {
			r.samples++
			r.memory.left -= size
			b.reservedBytes += size - seriesBytes
			if o.shared {
				b.natives.note(lt, 0, true)
			}
		}
		return outcomeTaken
	}
	if lt.sum {
		if b.addToSum(o.name, o.kind, lt, le, value, spelled, &r.labels) {
			r.samples++
			r.memory.left -= size
			b.reservedBytes += size - seriesBytes
			if o.shared {
				b.natives.note(lt, 0, true)
			}
		}
		return outcomeTaken
	}
	start := len(b.text)
	if b.add(size-seriesBytes, o.name, o.kind, lt, le, value, &r.labels) {
		r.samples++
		r.memory.left -= size
		if o.shared {
			b.natives.note(lt, start, false)
		}
	}
	return outcomeTaken
}

// makeRoom reports whether n bytes of memory are left, and counts a dropped sample if not.
func (r *Result) makeRoom(n int) bool {
	if n > r.memory.left && !r.memory.request(n) && !r.freeMemory(n) {
		r.stats.OverMemory++
		return false
	}
	return true
}

// seriesBytes is about how much memory a series takes besides its line.
const seriesBytes = 32

// changeValue returns the bucket bound and the value that a target makes of those of a sample.
func (r *Result) changeValue(o *output, c *mapping.Change, lt *labelTemplate, le, value []byte, b *lineBuffer) (newLE, newValue []byte) {
	if lt.fixedValue != nil {
		return le, lt.fixedValue
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
		// Different bounds may be equal once they are scaled, and r.boundText is overwritten by the next bucket.
		if !b.known.perLine && !lt.sum && !lt.max {
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
