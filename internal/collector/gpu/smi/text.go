package smi

import (
	"regexp"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// Text returns s without surrounding spaces, and "" if it is a word for "no value", such as N/A.
func Text(s string) string {
	s = strings.TrimSpace(s)
	switch strings.ToUpper(s) {
	case "NA", "N/A", "-", "NONE", "UNKNOWN", "NULL":
		return ""
	}
	return s
}

// Index returns s if it is a number as tools count GPUs, else "".
func Index(s string) string {
	if s = strings.TrimSpace(s); len(s) > 4 || strings.Trim(s, "0123456789") != "" {
		return ""
	}
	return s
}

var address = regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$`)

// Address returns a PCI address as Linux writes it: 0000:2a:00.0 for 00000000:2A:00.0. It returns "" if s is not an address.
func Address(s string) string {
	if s = strings.ToLower(strings.TrimSpace(s)); !address.MatchString(s) {
		return ""
	}
	if domain := strings.IndexByte(s, ':'); domain == 8 {
		return strings.TrimPrefix(s, "0000")
	}
	return s
}

// WithUnit is Quantity for numbers that must have a unit. A number without one is unknown: it is from an unknown version of the tool.
func WithUnit(s, unit string) gpu.Value {
	s = strings.TrimSpace(s)
	if strings.TrimRight(s, "0123456789.") == s {
		return Quantity(s, unit)
	}
	return gpu.Value{}
}

// PerSecond reads "120 KB/s" into bytes per second.
func PerSecond(s string) gpu.Value {
	amount, ok := strings.CutSuffix(strings.TrimSpace(s), "/s")
	if !ok {
		return gpu.Value{}
	}
	return WithUnit(amount, "KB")
}

// Count reads a number that cannot be below 0.
func Count(s string) gpu.Value {
	v := Number(s)
	if n, ok := v.Get(); ok && n >= 0 {
		return v
	}
	return gpu.Value{}
}

// Positive returns v, and an unknown Value for 0 where the tool prints 0 for a value that was not set or found.
func Positive(v gpu.Value) gpu.Value {
	if n, ok := v.Get(); ok && n > 0 {
		return v
	}
	return gpu.Value{}
}

// Lanes reads "16x" or "x16".
func Lanes(s string) gpu.Value {
	s = strings.TrimSpace(s)
	number, ok := strings.CutSuffix(s, "x")
	if !ok {
		number, ok = strings.CutPrefix(s, "x")
	}
	if !ok {
		return gpu.Value{}
	}
	return Positive(Number(number))
}

// RowStart returns the part of a process' row that an error may show: the numbers at its start. The rest may be a command line, which
// may hold keys and passwords.
func RowStart(row string) string {
	fields := strings.FieldsFunc(row, func(r rune) bool { return r == ' ' || r == '\t' || r == '|' })
	for i, f := range fields {
		if len(f) > 10 || strings.Trim(f, "0123456789") != "" {
			fields = fields[:i]
			break
		}
	}
	return strings.Join(fields, " ") + " ..."
}
