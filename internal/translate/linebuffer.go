package translate

import (
	"slices"

	"github.com/stackscope/stackscope/internal/exposition"
)

// A block is the lines of one unified family in one page.
type lineBuffer struct {
	text    []byte
	samples int
	// rank is that of the native family of which the lines are.
	rank       int
	duplicates int
	known      seriesSet
	check      histogramCheck
	// Of a target that adds up: the sums, their bounds one after the other, and where they are. reserved is what they
	// count for of the memory.
	sums          []sum
	bounds        []byte
	sumIndex      hashTable
	reservedBytes int
	// The last line that was written: where it begins, and the length of what comes before its bound or value.
	lastLabels                          *labelTemplate
	lastNameLen, lastStart, lastHeadLen int
	newSeries                           pageUsage
}

// maxIdleBytes is how much memory a block may keep that its last page did not need.
const maxIdleBytes = 1 << 20

// reset makes the block empty for a new page.
func (b *lineBuffer) reset() {
	if cap(b.text) > maxIdleBytes && cap(b.text) > 4*len(b.text) {
		*b = lineBuffer{}
		return
	}
	b.clear()
}

// trim gives back what the lines do not need.
func (b *lineBuffer) trim() {
	if cap(b.text) > maxIdleBytes && cap(b.text) > 4*len(b.text) {
		b.text = append(make([]byte, 0, len(b.text)+len(b.text)/8), b.text...)
		b.lastLabels = nil
	}
}

// clear forgets the lines.
func (b *lineBuffer) clear() {
	b.text, b.samples, b.duplicates, b.reservedBytes = b.text[:0], 0, 0, 0
	b.known.clear()
	b.check = histogramCheck{}
	b.lastLabels = nil
	clear(b.sums)
	b.sums, b.bounds = b.sums[:0], b.bounds[:0]
	b.sumIndex.clear()
}

// add writes a sample unless its series is there already, and reports whether it did. The size is that of the line.
func (b *lineBuffer) add(size int, name string, k kind, sh *labelTemplate, le, value []byte, s *labelTemplates) bool {
	if !b.known.perLine {
		if b.known.isNew(name, k, sh, le) {
			b.write(size, name, sh, le, value)
			return true
		}
		b.trackLines(s)
	}
	hash := sh.hash + nameSalt(name)
	if k == kindBucket {
		hash += s.hash(exposition.Label{Name: nameLE, Value: le})
	}
	start := len(b.text)
	b.write(size, name, sh, le, value)
	if b.addLine(shorten(hash), start, s) {
		return true
	}
	b.text = b.text[:start]
	b.lastLabels = nil
	b.samples--
	b.duplicates++
	return false
}

// write appends a line.
func (b *lineBuffer) write(size int, name string, sh *labelTemplate, le, value []byte) {
	n := len(b.text)
	if cap(b.text)-n < size+shortBytes {
		b.text = slices.Grow(b.text, size+shortBytes)
	}
	line := b.text[n : n+size+shortBytes]
	at := 0
	if b.lastLabels == sh && b.lastNameLen == len(name) {
		// The names of a block's samples all differ in length, so the line begins like the last one.
		at = copy(line, b.text[b.lastStart:b.lastStart+b.lastHeadLen])
	} else {
		at = copy(line, name)
		at += copy(line[at:], sh.head)
		b.lastLabels, b.lastNameLen, b.lastHeadLen = sh, len(name), at
	}
	b.lastStart = n
	if len(sh.after) > 0 {
		at += copyShort(line[at:], le)
		at += copyShort(line[at:], sh.tail)
	}
	at += copyShort(line[at:], value)
	line[at] = '\n'
	b.text = b.text[:n+size]
	b.samples++
}

// shortBytes is how many bytes copyShort writes beyond what it copies, at most.
const shortBytes = 16

// copyShort copies a few bytes, and bytes without meaning behind them: a copy of a length that the compiler knows takes no
// call.
func copyShort(dst, src []byte) int {
	if len(src) <= shortBytes && cap(src) >= shortBytes {
		*(*[shortBytes]byte)(dst) = *(*[shortBytes]byte)(src[:shortBytes])
		return len(src)
	}
	return copy(dst, src)
}

// same reports whether the lines that begin at two places have the same series.
func (b *lineBuffer) sameSeries(one, other int, s *labelTemplates) bool {
	for i, at := range [2]int{one, other} {
		line, _ := cutLine(b.text, at)
		if s.pair[i].Parse(line) != nil {
			return false
		}
	}
	return string(s.pair[0].Name) == string(s.pair[1].Name) && sameLabels(&s.pair[0], &s.pair[1])
}
