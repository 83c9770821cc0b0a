package thead

import (
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

// withUnit reads a number that carries its unit. One without is of a version that this program doesn't know.
func withUnit(s, unit string) gpu.Value {
	s = strings.TrimSpace(s)
	if strings.TrimRight(s, "0123456789.") == s {
		return smi.Quantity(s, unit)
	}
	return gpu.Value{}
}

// perSecond reads "120 KB/s".
func perSecond(s string) gpu.Value {
	amount, ok := strings.CutSuffix(s, "/s")
	if !ok {
		return gpu.Value{}
	}
	return withUnit(amount, "KB")
}

func count(s string) gpu.Value {
	v := smi.Number(s)
	if n, ok := v.Get(); ok && n >= 0 {
		return v
	}
	return gpu.Value{}
}

// positive leaves out 0, which says that nothing was set or found.
func positive(v gpu.Value) gpu.Value {
	if n, ok := v.Get(); ok && n > 0 {
		return v
	}
	return gpu.Value{}
}

func yes(s string) gpu.Value {
	switch s {
	case "Yes":
		return gpu.Known(1)
	case "No":
		return gpu.Known(0)
	}
	return gpu.Value{}
}

// lanes reads "16x".
func lanes(s string) gpu.Value {
	number, ok := strings.CutSuffix(s, "x")
	if !ok {
		return gpu.Value{}
	}
	return positive(smi.Number(number))
}

// address turns 00000000:3E:00.0 into 0000:3e:00.0, as Linux names devices.
func address(s string) string {
	return strings.TrimPrefix(strings.ToLower(s), "0000")
}
