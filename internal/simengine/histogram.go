package simengine

import (
	"math"
	"slices"
)

// histogram counts observations into buckets. A nil histogram observes nothing: an engine that doesn't have a family has no
// histogram for it.
type histogram struct {
	bounds []float64 // ascending, without +Inf
	counts []uint64  // one more than bounds
	count  uint64
	sum    float64
	// The running requests of a step all wait equally long for their next token: the last answer is the next one too.
	lastValue  float64
	lastBucket int
}

func newHistogram(bounds []float64) *histogram {
	if bounds == nil {
		return nil
	}
	return &histogram{bounds: bounds, counts: make([]uint64, len(bounds)+1), lastValue: math.NaN()}
}

func (h *histogram) observe(v float64) { h.observeN(v, 1) }

func (h *histogram) observeN(v float64, n int) {
	if h == nil || n <= 0 {
		return
	}
	if v != h.lastValue {
		h.lastBucket, _ = slices.BinarySearch(h.bounds, v)
		h.lastValue = v
	}
	h.counts[h.lastBucket] += uint64(n)
	h.count += uint64(n)
	h.sum += v * float64(n)
}

// oneTwoFive returns 1, 2, 5, 10, 20, ... up to most: the bounds that vLLM uses for token counts.
func oneTwoFive(most int) []float64 {
	var bounds []float64
	for decade := 1; ; decade *= 10 {
		for _, m := range [...]int{1, 2, 5} {
			if decade*m > most {
				return bounds
			}
			bounds = append(bounds, float64(decade*m))
		}
	}
}

// exponential returns n bounds from start, each factor times the one before.
func exponential(start, factor float64, n int) []float64 {
	bounds := make([]float64, n)
	for i := range bounds {
		bounds[i] = start
		start *= factor
	}
	return bounds
}

// plus returns what both have observed. They have the same bounds.
func (h *histogram) plus(o *histogram) *histogram {
	sum := &histogram{bounds: h.bounds, counts: slices.Clone(h.counts), count: h.count + o.count, sum: h.sum + o.sum}
	for i, n := range o.counts {
		sum.counts[i] += n
	}
	return sum
}
