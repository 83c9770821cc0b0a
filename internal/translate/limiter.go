package translate

import (
	"cmp"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// limiterWindow is how long new series are counted. A series that no page of the previous window had is new again.
const limiterWindow = time.Hour

const (
	// maxCountedFamilies bounds the families that are counted separately. Later ones share one count.
	maxCountedFamilies = 1 << 10
	// fixedLines is how many lines each histogram or summary has besides its bounded buckets or quantiles: +Inf, sum and count.
	fixedLines = 3
	// assumedLines is how many lines a histogram is taken to have until one was read.
	assumedLines = 64
)

// SeriesLimiter bounds how many new series the pages of an instance may have in an hour. With a limit of 50,000:
//
//   - A family gets no more new series than it leaves for all others. One that churns stops at 25,000, two at 16,666 each, and
//     families that do not churn are not affected.
//   - Known series are never left out.
//   - A new histogram or summary is accepted with all its lines or not at all.
//
// A page that differs from the last one in its values alone is not examined. A SeriesLimiter is safe for
// concurrent use; all Results of an instance share one.
type SeriesLimiter struct {
	seed maphash.Seed
	born time.Time
	// window is the number of the current window, ends its end as a duration since born.
	window atomic.Uint32
	ends   atomic.Int64
	next   atomic.Int64 // the limit for the next page

	// mu is locked for a whole page.
	mu                sync.Mutex
	limit, pageSeries int
	known             knownSeries
	used, reserved    int
	families          map[string]*familyUsage
	overflow          familyUsage
}

// familyUsage counts the new series of a family in a window.
type familyUsage struct {
	salt uint64
	// used were accepted; reserved are kept for further lines of histograms that began on this page.
	used, reserved int
	// histogramLines is how many lines the family's largest histogram has.
	histogramLines int
}

// NewSeriesLimiter returns a SeriesLimiter that accepts limit new series an hour, of pages of up to page series.
func NewSeriesLimiter(limit, page int) *SeriesLimiter {
	g := &SeriesLimiter{seed: maphash.MakeSeed(), born: time.Now(), pageSeries: page}
	g.SetLimit(limit)
	g.ends.Store(-1)
	return g
}

// SetLimit sets the limit for the next page. It does not wait for the current one.
func (g *SeriesLimiter) SetLimit(n int) { g.next.Store(int64(n)) }

// Usage says how much of the limit is used in the current window.
type Usage struct {
	Window      uint32 // its number
	Used, Limit int
	Left        time.Duration // until the window ends
}

// Usage returns how much of the limit is used.
func (g *SeriesLimiter) Usage() Usage {
	g.mu.Lock()
	defer g.mu.Unlock()
	left := time.Duration(g.ends.Load()) - time.Since(g.born)
	return Usage{Window: g.window.Load(), Used: g.used, Limit: g.limit, Left: max(0, left)}
}

// isCurrent reports whether a window is the current one and has not ended.
func (g *SeriesLimiter) isCurrent(window uint32) bool {
	return g.window.Load() == window && int64(time.Since(g.born)) < g.ends.Load()
}

// beginPage locks the limiter for a page and begins a new window if it is time. The caller must call endPage.
func (g *SeriesLimiter) beginPage() {
	g.mu.Lock()
	g.limit = int(g.next.Load())
	now, ends := int64(time.Since(g.born)), g.ends.Load()
	if now < ends {
		return
	}
	if now >= ends+int64(limiterWindow) {
		g.known = knownSeries{} // no page in the last hour
	}
	g.known.startWindow()
	g.used, g.families, g.overflow = 0, map[string]*familyUsage{}, familyUsage{}
	g.ends.Store(now + int64(limiterWindow))
	g.window.Add(1)
}

// resumePage is beginPage for a page of the current window.
func (g *SeriesLimiter) resumePage() { g.mu.Lock() }

// endPage ends a page.
func (g *SeriesLimiter) endPage() {
	g.reserved = 0
	g.mu.Unlock()
}

// usageOf returns the usage of a family.
func (g *SeriesLimiter) usageOf(family string) *familyUsage {
	a := g.families[family]
	if a != nil {
		return a
	}
	if len(g.families) == maxCountedFamilies {
		return &g.overflow
	}
	a = &familyUsage{salt: maphash.String(g.seed, family)}
	g.families[family] = a
	return a
}

// saltOf returns a number that makes the hashes of different families' series differ.
func (g *SeriesLimiter) saltOf(a *familyUsage, family string) uint64 {
	if a == &g.overflow {
		return maphash.String(g.seed, family)
	}
	return a.salt
}

// allows reports whether a family may have n more new series.
func (g *SeriesLimiter) allows(a *familyUsage, n int) bool {
	spent := g.used + g.reserved
	return a.used+a.reserved+n <= g.limit-spent && g.known.used+g.reserved+n <= g.limit+g.pageSeries
}

// count counts n new series.
func (g *SeriesLimiter) count(a *familyUsage, n int) {
	a.used += n
	g.used += n
}

// pageUsage counts the new series of one family on the current page.
type pageUsage struct {
	usage *familyUsage
	salt  uint64
	// labels is the template of the last line, admitted the decision about it. runLines is how many buckets with these labels
	// came one after the other; runHasInf says that +Inf is one of them.
	labels    *labelTemplate
	admitted  bool
	runLines  int
	runHasInf bool
	// Lines of buckets, in all histograms of the family.
	boundedBuckets, infBuckets int
	leftOut                    int
	labelsLeftOut              *leftOutLabels
}

// admit decides about a line of a family. lines is how many lines with the same labels to expect: 1, fixedLines or assumedLines.
// What the family's histograms had so far overrides it.
func (g *SeriesLimiter) admit(b *pageUsage, family string, k kind, lines int, lt *labelTemplate, le []byte) bool {
	if b.usage == nil {
		b.usage = g.usageOf(family)
		b.salt = g.saltOf(b.usage, family)
	}
	if b.labels != lt {
		b.endRun()
		b.labels, b.runLines, b.runHasInf = lt, 0, false
		b.admitted = g.admitLabels(b.usage, b.salt+lt.groupHash, lines)
	}
	if !b.admitted {
		b.leftOut++
		return false
	}
	key := b.salt
	switch {
	case k == kindBucket && isInf(le):
		b.runLines++
		b.infBuckets++
		b.runHasInf = true
		return true
	case k == kindBucket:
		b.runLines++
		b.boundedBuckets++
		key += lt.groupHash + maphash.Bytes(g.seed, le)
	case lt.hasQuantile:
		key += lt.hash
	default:
		return true
	}
	if g.known.touch(key) {
		return true
	}
	a := b.usage
	if a.reserved > 0 && g.reserved > 0 {
		a.reserved--
		g.reserved--
	} else if !g.allows(a, 1) {
		b.leftOut++
		return false
	}
	g.count(a, 1)
	g.known.add(key)
	return true
}

// admitLabels decides about all lines of a family that have the same labels.
func (g *SeriesLimiter) admitLabels(a *familyUsage, key uint64, lines int) bool {
	if g.known.touch(key) {
		return true
	}
	first, whole := min(lines, fixedLines), lines
	if lines > 1 {
		whole = cmp.Or(a.histogramLines, lines)
	}
	if !g.allows(a, whole) {
		return false
	}
	g.count(a, first)
	a.reserved += whole - first
	g.reserved += whole - first
	g.known.add(key)
	return true
}

// endRun learns from consecutive buckets how many lines a histogram has.
func (b *pageUsage) endRun() {
	if b.runHasInf && b.runLines > 1 {
		b.usage.histogramLines = max(b.usage.histogramLines, b.runLines+fixedLines-1)
	}
}

// endPage learns how many lines a histogram has if the lines of several are interleaved, and resets the usage for the next page.
func (b *pageUsage) endPage() {
	if b.usage != nil {
		b.endRun()
		if b.infBuckets > 0 {
			b.usage.histogramLines = max(b.usage.histogramLines, (b.boundedBuckets+b.infBuckets-1)/b.infBuckets+fixedLines)
		}
		b.usage.reserved = 0
	}
	*b = pageUsage{}
}

// knownSeries is a set of hashes with open addressing. The low byte of a slot is the last window that had the series.
type knownSeries struct {
	slots  []uint64 // a power of two
	used   int
	window uint64 // 1 to 255
}

const windowMask = 0xff

func (s *knownSeries) find(hash uint64) int {
	mask := len(s.slots) - 1
	for at := int(hash>>windowBits) & mask; ; at = (at + 1) & mask {
		if v := s.slots[at]; v == 0 || v&^windowMask == hash&^windowMask {
			return at
		}
	}
}

const windowBits = 8

// touch reports whether a series is known, and keeps it for the next window.
func (s *knownSeries) touch(hash uint64) bool {
	if len(s.slots) == 0 {
		return false
	}
	slot := &s.slots[s.find(hash)]
	if *slot == 0 {
		return false
	}
	*slot = *slot&^windowMask | s.window
	return true
}

// add adds a series that is not in the set.
func (s *knownSeries) add(hash uint64) {
	if 4*s.used >= 3*len(s.slots) {
		s.rebuild(max(minHashSlots, 2*len(s.slots)), 0)
	}
	s.slots[s.find(hash)] = hash&^windowMask | s.window
	s.used++
}

// rebuild moves the series of a window to n slots; window 0 stands for all.
func (s *knownSeries) rebuild(n int, window uint64) {
	old := s.slots
	s.slots, s.used = make([]uint64, n), 0
	for _, v := range old {
		if v != 0 && (window == 0 || v&windowMask == window) {
			s.slots[s.find(v)] = v
			s.used++
		}
	}
}

// startWindow begins a window and forgets the series that the last one did not have.
func (s *knownSeries) startWindow() {
	seen := 0
	for _, v := range s.slots {
		if v != 0 && v&windowMask == s.window {
			seen++
		}
	}
	n := minHashSlots
	for 4*seen >= 3*n {
		n *= 2
	}
	s.rebuild(n, s.window)
	s.window = s.window%windowMask + 1
}
