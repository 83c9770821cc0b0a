package simengine

import (
	"math"
	"slices"
	"strconv"
)

// appendPython writes v as Python's prometheus_client does: repr's shortest digits with at least one decimal, and from one
// million on an exponent that always begins with a zero, so that ten billion is "1e+010".
func appendPython(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, "NaN"...)
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	}
	var tmp [40]byte
	size := math.Abs(v)
	switch {
	case v != 0 && (size < 1e-4 || size >= 1e16):
		return strconv.AppendFloat(b, v, 'e', -1, 64)
	case v >= 1e6:
		digits := strconv.AppendFloat(tmp[:0], v, 'e', -1, 64)
		exponent := digits[len(digits)-2:] // e+06 to e+15: always two digits here
		b = append(b, digits[:len(digits)-2]...)
		b = append(b, '0')
		if exponent[0] == '0' {
			exponent = exponent[1:]
		}
		return append(b, exponent...)
	}
	digits := strconv.AppendFloat(tmp[:0], v, 'f', -1, 64)
	b = append(b, digits...)
	if slices.Contains(digits, '.') {
		return b
	}
	return append(b, ".0"...)
}

// appendCPP writes v as prometheus-cpp does: 16 significant digits, no decimals on whole numbers.
func appendCPP(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, "Nan"...)
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	}
	return strconv.AppendFloat(b, v, 'g', 16, 64)
}
