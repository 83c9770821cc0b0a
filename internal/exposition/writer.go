package exposition

import (
	"io"
	"math"
	"slices"
	"strconv"
)

// Writer makes a page of text 0.0.4 by appending. The zero value is ready for use. It trusts its caller with names and
// with the order of lines; help texts and values are made legal here, label values in RenderLabels.
type Writer struct {
	buf  []byte
	refs []reference
	size int // of what is referred to
}

// reference is text that stands elsewhere, before what is at an index of the buffer.
type reference struct {
	at   int
	text []byte
}

// Family begins a family: it writes its HELP and TYPE. An empty typ or help leaves the line out. The name is the one
// that stands on the page, so counters have their _total.
func (w *Writer) Family(name, typ, help string) {
	if help != "" {
		w.buf = append(w.buf, "# HELP "...)
		w.buf = append(w.buf, name...)
		w.buf = append(w.buf, ' ')
		w.buf = appendHelp(w.buf, help)
		w.buf = append(w.buf, '\n')
	}
	if typ != "" {
		w.buf = append(w.buf, "# TYPE "...)
		w.buf = append(w.buf, name...)
		w.buf = append(w.buf, ' ')
		w.buf = append(w.buf, typ...)
		w.buf = append(w.buf, '\n')
	}
}

// Sample writes one sample of the family begun last. Empty Labels are skipped.
func (w *Writer) Sample(name string, v float64, labels ...Labels) {
	w.buf = append(w.buf, name...)
	open := false
	for _, l := range labels {
		if l == "" {
			continue
		}
		if open {
			w.buf = append(w.buf, ',')
		} else {
			w.buf = append(w.buf, '{')
			open = true
		}
		w.buf = append(w.buf, l...)
	}
	if open {
		w.buf = append(w.buf, '}')
	}
	w.buf = append(w.buf, ' ')
	w.buf = AppendValue(w.buf, v)
	w.buf = append(w.buf, '\n')
}

// Raw appends b, which must be whole lines.
func (w *Writer) Raw(b []byte) { w.buf = append(w.buf, b...) }

// minReference is the length from which on a reference is worth more than a copy.
const minReference = 1 << 10

// Refer is Raw without a copy: b must stay as it is until the page is written or the Writer is reset.
func (w *Writer) Refer(b []byte) {
	if len(b) < minReference {
		w.Raw(b)
		return
	}
	w.refs = append(w.refs, reference{len(w.buf), b})
	w.size += len(b)
}

// Bytes returns the page. It is valid until the next call of another method. What is referred to is copied by it.
func (w *Writer) Bytes() []byte {
	if len(w.refs) == 0 {
		return w.buf
	}
	page := make([]byte, 0, w.Len())
	for part := range w.parts {
		page = append(page, part...)
	}
	return page
}

// WriteTo writes the page in as many parts as it has.
func (w *Writer) WriteTo(dst io.Writer) (written int64, err error) {
	for part := range w.parts {
		n, err := dst.Write(part)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (w *Writer) parts(yield func([]byte) bool) {
	from := 0
	for _, r := range w.refs {
		if from < r.at && !yield(w.buf[from:r.at]) || !yield(r.text) {
			return
		}
		from = r.at
	}
	if from < len(w.buf) {
		yield(w.buf[from:])
	}
}

// Len returns the length of the page in bytes.
func (w *Writer) Len() int { return len(w.buf) + w.size }

// Reset makes the page empty and keeps its memory.
func (w *Writer) Reset() {
	w.buf, w.size = w.buf[:0], 0
	w.refs = slices.Delete(w.refs, 0, len(w.refs))
}

// maxPlainInteger bounds the integers that are written with all their digits. Above it a float no longer holds every
// integer, and the exponent form says so.
const maxPlainInteger = 1 << 53

// AppendValue appends a sample's value: the shortest text that reads back as v, whole numbers without exponent, and NaN,
// +Inf and -Inf as the format spells them.
func AppendValue(dst []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) <= maxPlainInteger && !(v == 0 && math.Signbit(v)) {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}
