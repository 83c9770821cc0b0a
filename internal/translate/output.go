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

// clear forgets the lines.
func (b *block) clear() {
	b.buf, b.samples, b.duplicates = b.buf[:0], 0, 0
	b.seen.clear()
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
	b.samples--
	b.duplicates++
	return false
}

// write appends a line.
func (b *block) write(size int, name string, sh *shape, le, value []byte) {
	n := len(b.buf)
	b.buf = slices.Grow(b.buf, size)[:n+size]
	line := b.buf[n:]
	n = copy(line, name)
	n += copy(line[n:], sh.head)
	n += copy(line[n:], le)
	n += copy(line[n:], sh.tail)
	n += copy(line[n:], value)
	line[n] = '\n'
	b.samples++
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
