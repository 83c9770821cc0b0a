package translate

import "github.com/stackscope/stackscope/internal/exposition"

// A histogramCheck counts invalid histograms: a bucket is smaller than the one before, +Inf is missing, or +Inf differs from the
// count. Invalid histograms are exported nevertheless. The check relies on a histogram's buckets following one another, as
// engines write them.
type histogramCheck struct {
	running  bool
	series   uint64 // of the current run of buckets, by the hash of its labels
	last     float64
	bad      bool
	infinite bool
	// The histogram whose count came last and whose buckets may follow, and the one whose buckets came last and whose count may
	// follow, by the hashes of their labels.
	counted, ended             uint64
	awaitsBuckets, awaitsCount bool
	count, inf                 float64
	invalid                    int
}

// addBucket checks a bucket. infinite says that it is +Inf.
func (c *histogramCheck) addBucket(lt *labelTemplate, infinite bool, value []byte) {
	v := number(value)
	if !c.running || c.series != lt.fullHash {
		c.endRun()
		c.running, c.series, c.bad, c.infinite = true, lt.fullHash, false, false
	} else if v < c.last {
		c.bad = true
	}
	c.last = v
	if infinite {
		c.infinite = true
	}
}

// isInf reports whether the bound of a bucket is +Inf.
func isInf(le []byte) bool { return le[0] == '+' && string(le) == "+Inf" }

// addCount checks a count.
func (c *histogramCheck) addCount(lt *labelTemplate, value []byte) {
	v := number(value)
	c.endRun()
	if c.awaitsCount && c.ended == lt.fullHash {
		if c.inf != v {
			c.invalid++
		}
		c.awaitsCount = false
		return
	}
	c.counted, c.count, c.awaitsBuckets = lt.fullHash, v, true
}

// endRun ends a run of buckets.
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

// number parses a value that is known to be a number.
func number(text []byte) float64 {
	if v, ok := parseWhole(text); ok {
		return v
	}
	v, _ := exposition.ParseNumber(text)
	return v
}

// parseWhole parses what nearly all counts are, a whole number of few digits, also with .0 at its end.
func parseWhole(b []byte) (float64, bool) {
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

// A histogramPart is the role of a sample in the check.
type histogramPart uint8

const (
	noPart histogramPart = iota
	boundedBucket
	infiniteBucket
	totalCount
)

// partOf returns the role of a sample.
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

// add checks a sample.
func (c *histogramCheck) add(part histogramPart, lt *labelTemplate, value []byte) {
	switch part {
	case noPart:
	case totalCount:
		c.addCount(lt, value)
	default:
		c.addBucket(lt, part == infiniteBucket, value)
	}
}
