package gpu

import "math"

// Bounds beyond which a number is a fault of whoever read it. They leave room for GPUs to come.
const (
	maxCores      = 1e7
	minCelsius    = -60
	maxCelsius    = 250
	maxWatts      = 1e5
	maxBytes      = 1 << 50
	maxHertz      = 1e11
	maxRate       = 1e14 // bytes per second
	maxGeneration = 20
	maxLanes      = 64
	maxCount      = 1e20
	// maxRatio is how far a ratio may be over 1, by the way in which it was measured, and still count as 1.
	maxRatio = 1.5
	// maxOverfull is the same for used memory as a share of the whole.
	maxOverfull = 1.05
)

// within returns v if it is a number from low to high, else the Value that is not known.
func within(v Value, low, high float64) Value {
	if n, ok := v.Get(); ok && n >= low && n <= high { // false for NaN
		return v
	}
	return Value{}
}

// count returns what a counter may hold.
func count(v Value) Value { return within(v, 0, maxCount) }

// zeroOrOne returns 0 or 1.
func zeroOrOne(v Value) Value {
	if n, ok := v.Get(); ok && (n == 0 || n == 1) {
		return v
	}
	return Value{}
}

// ratio returns 0 to 1.
func ratio(v Value) Value {
	n, ok := within(v, 0, maxRatio).Get()
	if !ok {
		return Value{}
	}
	return Known(min(n, 1))
}

func memoryTotal(total Value) Value { return within(total, 1, maxBytes) }

// memoryUsed returns used if there can be so much.
func memoryUsed(used, total Value) Value {
	n, ok := within(used, 0, maxBytes).Get()
	all, known := memoryTotal(total).Get()
	switch {
	case !ok, known && n > all*maxOverfull:
		return Value{}
	case known:
		return Known(min(n, all))
	}
	return Known(n)
}

// clockDeficit is how far a clock is below its maximum.
func clockDeficit(c Clock) Value {
	now, ok := within(c.Now, 0, maxHertz).Get()
	most, known := within(c.Max, 1, maxHertz).Get()
	if !ok || !known {
		return Value{}
	}
	return Known(min(max(math.Round((1-now/most)*1e6)/1e6, 0), 1))
}

// rate is part of whole as GPUStack writes rates: 0 to 100, of the ratio rounded to six digits.
func rate(part, whole float64) float64 { return math.Round(part/whole*1e6) / 1e4 }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
