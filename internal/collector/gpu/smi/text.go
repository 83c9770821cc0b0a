package smi

import (
	"regexp"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// Told is a text, "" if it says that there is none.
func Told(s string) string {
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

// Address writes a PCI address as Linux does: 0000:2a:00.0 for 00000000:2A:00.0. It returns "" for what is none.
func Address(s string) string {
	if s = strings.ToLower(strings.TrimSpace(s)); !address.MatchString(s) {
		return ""
	}
	if domain := strings.IndexByte(s, ':'); domain == 8 {
		return strings.TrimPrefix(s, "0000")
	}
	return s
}

// WithUnit is Quantity for numbers that carry their unit. One without is of a version that this program doesn't know.
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

// Positive leaves out 0 where it stands for what was not set or found.
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

// RowStart is what an error may say of a row about a process: the numbers that it begins with. The rest can be a command
// line, and keys and passwords stand on command lines.
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
