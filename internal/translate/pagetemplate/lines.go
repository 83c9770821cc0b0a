package pagetemplate

import (
	"slices"
	"unsafe"
)

// Lines holds the positions of the values of a page in the output that was made of it. The zero value knows none.
type Lines struct{ fields []field }

// A field is a value in the text.
type field struct {
	slot       int32
	start, end uint32
}

// Add adds the position text[start:end] of the value of a slot, behind all positions that were added before.
func (l *Lines) Add(slotNumber int32, start, end int) {
	l.fields = append(l.fields, field{slotNumber, uint32(start), uint32(end)})
}

// Grow allocates memory for n more values.
func (l *Lines) Grow(n int) { l.fields = slices.Grow(l.fields, n) }

// Bytes returns about how much memory the Lines take.
func (l *Lines) Bytes() int { return len(l.fields) * int(unsafe.Sizeof(field{})) }

// Fill puts values in the places of those in text, and returns the text.
func (l *Lines) Fill(text []byte, values Values) []byte {
	for i := range l.fields {
		f := &l.fields[i]
		value := values.At(f.slot)
		if int(f.end-f.start) != len(value) {
			return l.fillMoving(text, values, i)
		}
		copy(text[f.start:f.end], value)
	}
	return text
}

// fillMoving is Fill from a field on whose value has another length, so that the text behind it moves.
func (l *Lines) fillMoving(text []byte, values Values, first int) []byte {
	fields := l.fields[first:]
	growth, most := 0, 0
	for i := range fields {
		f := &fields[i]
		growth += len(values.At(f.slot)) - int(f.end-f.start)
		most = max(most, growth)
	}
	// First all of it moves to the right as far as any part must. From there on parts move to the left, if at all, so that
	// nothing is overwritten before it has moved.
	at, end := int(fields[0].start), len(text)
	text = slices.Grow(text, most)[:end+most]
	copy(text[at+most:], text[at:end])
	next := at + most // what has not moved to its place yet
	for i := range fields {
		f := &fields[i]
		n := int(f.start) + most - next
		if at != next {
			copy(text[at:], text[next:next+n])
		}
		at += n
		next = int(f.end) + most
		value := values.At(f.slot)
		f.start = uint32(at)
		at += copy(text[at:], value)
		f.end = uint32(at)
	}
	return text[:at+copy(text[at:], text[next:])]
}
