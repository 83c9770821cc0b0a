package translate

import (
	"slices"

	"github.com/stackscope/stackscope/internal/exposition"
)

// A block is the lines of one unified family in one page.
type block struct {
	buf     []byte
	samples int
	// rank is that of the native family of which the lines are.
	rank       int
	duplicates int
	seen       seen
	check      histogramCheck
	// Of a target that adds up: the sums, their bounds one after the other, and where they are. reserved is what they
	// count for of the memory.
	sums     []sum
	les      []byte
	summed   hashTable
	reserved int
	// The last line that was written: where it begins, and the length of what comes before its bound or value.
	lastShape                    *shape
	lastName, lastLine, lastHead int
	growing                      growing
}

// maxIdleBytes is how much memory a block may keep that its last page did not need.
const maxIdleBytes = 1 << 20

// reset makes the block empty for a new page.
func (b *block) reset() {
	if cap(b.buf) > maxIdleBytes && cap(b.buf) > 4*len(b.buf) {
		*b = block{}
		return
	}
	b.clear()
}

// trim gives back what the lines do not need.
func (b *block) trim() {
	if cap(b.buf) > maxIdleBytes && cap(b.buf) > 4*len(b.buf) {
		b.buf = append(make([]byte, 0, len(b.buf)+len(b.buf)/8), b.buf...)
		b.lastShape = nil
	}
}

// clear forgets the lines.
func (b *block) clear() {
	b.buf, b.samples, b.duplicates, b.reserved = b.buf[:0], 0, 0, 0
	b.seen.clear()
	b.check = histogramCheck{}
	b.lastShape = nil
	clear(b.sums)
	b.sums, b.les = b.sums[:0], b.les[:0]
	b.summed.clear()
}

// add writes a sample unless its series is there already, and reports whether it did. The size is that of the line.
func (b *block) add(size int, name string, k kind, sh *shape, le, value []byte, s *shapes) bool {
	if !b.seen.strict {
		if b.seen.fresh(name, k, sh, le) {
			b.write(size, name, sh, le, value)
			return true
		}
		b.makeStrict(s)
	}
	hash := sh.hash + nameSalt(name)
	if k == kindBucket {
		hash += s.hash(exposition.Label{Name: nameLE, Value: le})
	}
	start := len(b.buf)
	b.write(size, name, sh, le, value)
	if b.enter(shorten(hash), start, s) {
		return true
	}
	b.buf = b.buf[:start]
	b.lastShape = nil
	b.samples--
	b.duplicates++
	return false
}

// write appends a line.
func (b *block) write(size int, name string, sh *shape, le, value []byte) {
	n := len(b.buf)
	if cap(b.buf)-n < size+shortBytes {
		b.buf = slices.Grow(b.buf, size+shortBytes)
	}
	line := b.buf[n : n+size+shortBytes]
	at := 0
	if b.lastShape == sh && b.lastName == len(name) {
		// The names of a block's samples all differ in length, so the line begins like the last one.
		at = copy(line, b.buf[b.lastLine:b.lastLine+b.lastHead])
	} else {
		at = copy(line, name)
		at += copy(line[at:], sh.head)
		b.lastShape, b.lastName, b.lastHead = sh, len(name), at
	}
	b.lastLine = n
	if len(sh.after) > 0 {
		at += copyShort(line[at:], le)
		at += copyShort(line[at:], sh.tail)
	}
	at += copyShort(line[at:], value)
	line[at] = '\n'
	b.buf = b.buf[:n+size]
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
func (b *block) same(one, other int, s *shapes) bool {
	for i, at := range [2]int{one, other} {
		line, _ := cutLine(b.buf, at)
		if s.pair[i].Parse(line) != nil {
			return false
		}
	}
	return string(s.pair[0].Name) == string(s.pair[1].Name) && sameLabels(&s.pair[0], &s.pair[1])
}
