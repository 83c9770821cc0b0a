package translate

import "slices"

// A lineBuffer is the output lines of one metric of one page.
type lineBuffer struct {
	text    []byte
	samples int
	// rank is that of the native metric whose samples the lines are.
	rank       int
	duplicates int
	// merged are samples that became part of others, repeated those of them that are replicas.
	merged, repeated int
	known            seriesSet
	check            histogramCheck
	// Of a target that adds up samples: the sums, their bucket bounds one after the other, the index of both, and the memory
	// that was taken for their lines.
	sums          []sum
	bounds        []byte
	sumIndex      hashTable
	reservedBytes int
	replicaSet    replicaSet
	natives       nativeMetrics
	// Of the last line: its template, the length of its name, where it begins, and the length of its text before bound or value.
	lastLabels                          *labelTemplate
	lastNameLen, lastStart, lastHeadLen int
	newSeries                           pageUsage
}

// maxIdleBytes is how much memory a buffer may keep that its last page did not need.
const maxIdleBytes = 1 << 20

// reset empties the buffer for a new page.
func (b *lineBuffer) reset() {
	if cap(b.text) > maxIdleBytes && cap(b.text) > 4*len(b.text) {
		*b = lineBuffer{}
		return
	}
	b.clear()
}

// trim releases the memory that the lines do not need.
func (b *lineBuffer) trim() {
	if cap(b.text) > maxIdleBytes && cap(b.text) > 4*len(b.text) {
		b.text = append(make([]byte, 0, len(b.text)+len(b.text)/8), b.text...)
		b.lastLabels = nil
	}
}

// clear empties the buffer and keeps its memory.
func (b *lineBuffer) clear() {
	b.text, b.samples, b.duplicates, b.merged, b.repeated, b.reservedBytes = b.text[:0], 0, 0, 0, 0, 0
	b.known.clear()
	b.check = histogramCheck{}
	b.lastLabels = nil
	clear(b.sums)
	b.sums, b.bounds = b.sums[:0], b.bounds[:0]
	b.sumIndex.clear()
	b.replicaSet.clear()
	b.natives.clear()
}

// add writes a line of the given size, unless the buffer has its series, and reports whether it did.
func (b *lineBuffer) add(size int, name string, k kind, lt *labelTemplate, le, value []byte, s *labelTemplates) bool {
	if !b.known.perLine {
		if b.known.isNew(name, k, lt, le) {
			b.write(size, name, lt, le, value)
			return true
		}
		b.trackLines(s)
	}
	hash := lt.hash + s.lineSalt(name, k, le)
	start := len(b.text)
	b.write(size, name, lt, le, value)
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
func (b *lineBuffer) write(size int, name string, lt *labelTemplate, le, value []byte) {
	n := len(b.text)
	if cap(b.text)-n < size+shortBytes {
		b.text = slices.Grow(b.text, size+shortBytes)
	}
	line := b.text[n : n+size+shortBytes]
	at := 0
	if b.lastLabels == lt && b.lastNameLen == len(name) {
		// A buffer's sample names all differ in length, so the line begins like the last one.
		at = copy(line, b.text[b.lastStart:b.lastStart+b.lastHeadLen])
	} else {
		at = copy(line, name)
		at += copy(line[at:], lt.head)
		b.lastLabels, b.lastNameLen, b.lastHeadLen = lt, len(name), at
	}
	b.lastStart = n
	if len(lt.after) > 0 {
		at += copyShort(line[at:], le)
		at += copyShort(line[at:], lt.tail)
	}
	at += copyShort(line[at:], value)
	line[at] = '\n'
	b.text = b.text[:n+size]
	b.samples++
}

// shortBytes bounds what copyShort writes beyond what it copies.
const shortBytes = 16

// copyShort copies a few bytes, and arbitrary bytes after them: a copy of constant length compiles to two instructions instead
// of a call.
func copyShort(dst, src []byte) int {
	if len(src) <= shortBytes && cap(src) >= shortBytes {
		*(*[shortBytes]byte)(dst) = *(*[shortBytes]byte)(src[:shortBytes])
		return len(src)
	}
	return copy(dst, src)
}

// sameSeries reports whether the lines that begin at two positions have the same series.
func (b *lineBuffer) sameSeries(one, other int, s *labelTemplates) bool {
	for i, at := range [2]int{one, other} {
		line, _ := cutLine(b.text, at)
		if s.pair[i].Parse(line) != nil {
			return false
		}
	}
	return string(s.pair[0].Name) == string(s.pair[1].Name) && sameLabels(&s.pair[0], &s.pair[1])
}
