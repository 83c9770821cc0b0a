package translate

import "github.com/stackscope/stackscope/internal/exposition"

// A histogramCheck looks whether the histograms of a block are what they should be: buckets that do not fall from bound to
// bound and end in +Inf, which is as large as the count. It looks at runs, as engines write a histogram's buckets one after
// the other; a histogram that is wrong is passed on as it is and counted.
type histogramCheck struct {
	running  bool
	series   uint64 // of the current run, by the hash of its labels
	last     float64
	bad      bool
	infinite bool
	// The histogram whose count came last and waits for its buckets, and the one whose run ended last and waits for its
	// count, by the hashes of their labels.
	counted, ended             uint64
	awaitsBuckets, awaitsCount bool
	count, inf                 float64
	invalid                    int
}

// bucket takes a bucket, the last one being infinite.
func (c *histogramCheck) addBucket(sh *labelTemplate, infinite bool, value []byte) {
	v := number(value)
	if !c.running || c.series != sh.hash {
		c.endRun()
		c.running, c.series, c.bad, c.infinite = true, sh.hash, false, false
	} else if v < c.last {
		c.bad = true
	}
	c.last = v
	if infinite {
		c.infinite = true
	}
}

// unbounded reports whether a bucket has no bound.
func isInf(le []byte) bool { return le[0] == '+' && string(le) == "+Inf" }

// total takes a count.
func (c *histogramCheck) addCount(sh *labelTemplate, value []byte) {
	v := number(value)
	c.endRun()
	if c.awaitsCount && c.ended == sh.hash {
		if c.inf != v {
			c.invalid++
		}
		c.awaitsCount = false
		return
	}
	c.counted, c.count, c.awaitsBuckets = sh.hash, v, true
}

// end ends a run.
func (c *histogramCheck) endRun() {
	if !c.running {
		return
	}
	counted := c.awaitsBuckets && c.counted == c.series
	c.awaitsCount = false
	switch {
	case c.bad, !c.infinite, counted && c.count != c.last:
		c.invalid++
	case !counted:
		c.ended, c.inf, c.awaitsCount = c.series, c.last, true
	}
	c.running, c.awaitsBuckets = false, false
}

// number reads a value that is known to be one.
func number(text []byte) float64 {
	if v, ok := whole(text); ok {
		return v
	}
	v, _ := exposition.ParseNumber(text)
	return v
}

// whole reads a whole number of few digits, which nearly all counts are, also with .0 behind it.
func whole(b []byte) (float64, bool) {
	n := uint64(0)
	for i, d := range b {
		if d -= '0'; d > 9 {
			return float64(n), i > 0 && len(b) == i+2 && b[i] == '.' && b[i+1] == '0'
		}
		if i > 14 {
			return 0, false
		}
		n = 10*n + uint64(d)
	}
	return float64(n), true
}

// A histogramPart is what a sample is to the check.
type histogramPart uint8

const (
	noPart histogramPart = iota
	boundedBucket
	infiniteBucket
	totalCount
)

// partOf returns what a histogram's sample is to the check.
func partOf(k kind, le []byte) histogramPart {
	switch {
	case k == kindCount:
		return totalCount
	case k != kindBucket:
		return noPart
	case isInf(le):
		return infiniteBucket
	}
	return boundedBucket
}

// take takes a sample.
func (c *histogramCheck) add(part histogramPart, sh *labelTemplate, value []byte) {
	switch part {
	case noPart:
	case totalCount:
		c.addCount(sh, value)
	default:
		c.addBucket(sh, part == infiniteBucket, value)
	}
}
