package exposition

import (
	"bytes"
	"strconv"
)

// maxPlainDigits bounds the length of numbers without exponent that are accepted without further checks: with so few
// digits before the point a float cannot overflow.
const maxPlainDigits = 300

// ValidNumber reports whether Prometheus would read b as a float: a decimal number, an infinity or NaN, without the
// underscores and binary exponents that Go allows, and not so large that it overflows.
func ValidNumber(b []byte) bool {
	if n := PlainNumberLen(b); n == len(b) && n > 0 {
		return true
	}
	_, ok := ParseNumber(b)
	return ok
}

// ParseNumber returns the value of b, false where ValidNumber is false.
func ParseNumber(b []byte) (float64, bool) {
	if bytes.ContainsAny(b, "pP_") {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}

// PlainNumberLen returns the length of the number with which b begins if it is of the plain kind: digits, optionally with
// a sign before, a point within and an exponent of at most two digits behind. These are nearly all numbers of real pages
// and cannot overflow. It returns 0 for anything else; what follows the number is not looked at.
func PlainNumberLen(b []byte) int {
	i := 0
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		i++
	}
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	digits := i - start
	if i < len(b) && b[i] == '.' {
		i++
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		digits = i - start - 1
	}
	if digits == 0 || digits > maxPlainDigits {
		return 0
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if digits > maxPlainDigits-100 {
			return 0
		}
		i++
		if i < len(b) && (b[i] == '-' || b[i] == '+') {
			i++
		}
		start = i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if n := i - start; n == 0 || n > 2 {
			return 0
		}
	}
	return i
}
