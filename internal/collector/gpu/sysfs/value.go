package sysfs

import (
	"bytes"
	"io/fs"
	"strconv"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// Reader reads attributes into one buffer: what a call returns holds until the next one.
type Reader struct {
	buf []byte
	// Failed counts attributes that are there and could not be read since it was last set to 0.
	Failed int
	// Succeeded counts those that could.
	Succeeded int
}

// NewReader returns a Reader.
func NewReader() *Reader { return &Reader{buf: make([]byte, MaxAttribute+1)} }

// Buffer is the reader's buffer, for reads beside it.
func (r *Reader) Buffer() []byte { return r.buf }

// Bytes reads an attribute, nil if it can't be read.
func (r *Reader) Bytes(a *Attr) []byte {
	b, err := a.Read(r.buf)
	switch {
	case err == nil:
		r.Succeeded++
		return b
	case err != fs.ErrNotExist && err != fs.ErrClosed: //nolint:errorlint // Attr.Read returns these two as they are
		r.Failed++
	}
	return nil
}

// Int reads a decimal number.
func (r *Reader) Int(a *Attr) (int64, bool) { return ParseInt(r.Bytes(a)) }

// Value reads a decimal number that isn't negative as n*mul/div.
func (r *Reader) Value(a *Attr, mul, div float64) gpu.Value {
	n, ok := r.Int(a)
	if !ok || n < 0 {
		return gpu.Value{}
	}
	return gpu.Known(float64(n) * mul / div)
}

// Positive is Value for attributes in which 0 says that there is nothing to tell.
func (r *Reader) Positive(a *Attr, mul, div float64) gpu.Value {
	v := r.Value(a, mul, div)
	if n, _ := v.Get(); n == 0 {
		return gpu.Value{}
	}
	return v
}

// Percent reads a share in percent as a ratio.
func (r *Reader) Percent(a *Attr) gpu.Value { return Percent(r.Int(a)) }

// Percent turns a percentage into a ratio. What is out of range is none.
func Percent(n int64, ok bool) gpu.Value {
	if !ok || n < 0 || n > 100 {
		return gpu.Value{}
	}
	return gpu.Known(float64(n) / 100)
}

// Temperature reads a temperature in thousandths of °C. Sensors that are off or broken tell temperatures that no chip has.
func (r *Reader) Temperature(a *Attr) gpu.Value {
	n, ok := r.Int(a)
	if !ok || n < -40_000 || n > 200_000 {
		return gpu.Value{}
	}
	return gpu.Known(float64(n) / 1000)
}

// ParseInt parses a decimal number with nothing but white space around it.
func ParseInt(b []byte) (int64, bool) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || len(b) > 20 || b[0] == '+' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}
