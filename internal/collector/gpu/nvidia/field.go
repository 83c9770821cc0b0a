//go:build linux && cgo

package nvidia

import (
	"encoding/binary"
	"math"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// field is a value that the library gives by number rather than by a function of its own; scope is the link, where it is of
// one.
type field struct{ id, scope uint32 }

// scopes is more than the scopes that a field can have.
const scopes = 1 << 8

func (f field) key() key { return key{askFields, int(f.id*scopes + f.scope)} }

// eachField asks for several fields in one call and yields those that were answered.
func (c *device) eachField(wanted []field, yield func(f field, v float64)) {
	if !c.may(key{q: askFields}) {
		return
	}
	c.fields = c.fields[:0]
	for _, f := range wanted {
		if c.may(f.key()) {
			c.fields = append(c.fields, nvml.FieldValue{FieldId: f.id, ScopeId: f.scope})
		}
	}
	if len(c.fields) == 0 || !c.judge(key{q: askFields}, c.handle.GetFieldValues(c.fields)) {
		return
	}
	for i := range c.fields {
		value := &c.fields[i]
		f := field{value.FieldId, value.ScopeId}
		if !c.judge(f.key(), nvml.Return(value.NvmlReturn)) {
			continue
		}
		if v, ok := decode(value); ok {
			yield(f, v)
		}
	}
}

// decode reads the union that a field's value is.
func decode(f *nvml.FieldValue) (float64, bool) {
	long := binary.NativeEndian.Uint64(f.Value[:])
	short := binary.NativeEndian.Uint32(f.Value[:])
	switch nvml.ValueType(f.ValueType) {
	case nvml.VALUE_TYPE_DOUBLE:
		v := math.Float64frombits(long)
		return v, v >= 0 && !math.IsInf(v, 0)
	case nvml.VALUE_TYPE_UNSIGNED_INT:
		return float64(short), short != math.MaxUint32
	case nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG_LONG:
		return float64(long), long != math.MaxUint64
	case nvml.VALUE_TYPE_SIGNED_LONG_LONG:
		return float64(int64(long)), int64(long) >= 0
	case nvml.VALUE_TYPE_SIGNED_INT:
		return float64(int32(short)), int32(short) >= 0
	case nvml.VALUE_TYPE_UNSIGNED_SHORT:
		return float64(binary.NativeEndian.Uint16(f.Value[:])), true
	}
	return 0, false
}
