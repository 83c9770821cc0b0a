package translate

import (
	"cmp"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// growthWindow is the time for which new series are counted. A series that no page of the window before had is new again.
const growthWindow = time.Hour

const (
	// maxAccounts bounds the families that are counted apart. Those that come later share one account.
	maxCountedFamilies = 1 << 10
	// partLines is what each histogram or summary has besides its buckets or quantiles: the bucket without a bound, the sum
	// and the count.
	partLines = 3
	// assumedSize is how many lines a histogram has as long as it is not known.
	assumedSize = 64
)

// SeriesLimiter bounds how many new series the pages of an instance bring in an hour. A family is given no more of them than it
// leaves for all others, so one that churns takes half, two take a third each, and those that do not churn stay whole. Series
// that are known are never left out. A new histogram or summary comes as a whole or not at all. It is safe for concurrent use,
// and the Results of an instance share it.
//
// Pages that differ from the one before in their values alone are not looked at.
type SeriesLimiter struct {
	seed maphash.Seed
	born time.Time
	// window counts the windows, ends is when the current one is over, in time since born.
	window atomic.Uint32
	ends   atomic.Int64
	next   atomic.Int64 // the limit from the next page on

	// mu is held for the length of a page.
	mu                sync.Mutex
	limit, pageSeries int
	known             knownSeries
	used, reserved    int
	accounts          map[string]*familyUsage
	overflow          familyUsage
}

// account is the new series of a family in a window.
type familyUsage struct {
	salt uint64
	// used were let through, promised are kept for the rest of histograms that were begun in this page.
	used, reserved int
	// size is how many lines the largest histogram of the family has.
	size int
}

// NewGrowth returns a SeriesLimiter of up to limit new series an hour, of pages that have up to page series.
func NewSeriesLimiter(limit, page int) *SeriesLimiter {
	g := &SeriesLimiter{seed: maphash.MakeSeed(), born: time.Now(), pageSeries: page}
	g.SetLimit(limit)
	g.ends.Store(-1)
	return g
}

// Limit changes the limit from the next page on.
func (g *SeriesLimiter) SetLimit(n int) { g.next.Store(int64(n)) }

// Usage is how far the bound of the current window is used up.
type Usage struct {
	Window      uint32 // counts up
	Used, Limit int
	Left        time.Duration // until the window ends
}

// Usage returns how far the bound is used up.
func (g *SeriesLimiter) Usage() Usage {
	g.mu.Lock()
	defer g.mu.Unlock()
	left := time.Duration(g.ends.Load()) - time.Since(g.born)
	return Usage{Window: g.window.Load(), Used: g.used, Limit: g.limit, Left: max(0, left)}
}

// isCurrent reports whether a window is still the current one.
func (g *SeriesLimiter) isCurrent(window uint32) bool {
	return g.window.Load() == window && int64(time.Since(g.born)) < g.ends.Load()
}

// begin begins a page. The caller must call end.
func (g *SeriesLimiter) beginPage() {
	g.mu.Lock()
	g.limit = int(g.next.Load())
	now, ends := int64(time.Since(g.born)), g.ends.Load()
	if now < ends {
		return
	}
	if now >= ends+int64(growthWindow) {
		g.known = knownSeries{} // nothing is known of the last hour
	}
	g.known.startWindow()
	g.used, g.accounts, g.overflow = 0, map[string]*familyUsage{}, familyUsage{}
	g.ends.Store(now + int64(growthWindow))
	g.window.Add(1)
}

// resume begins a page of the current window. The caller must call end.
func (g *SeriesLimiter) resumePage() { g.mu.Lock() }

// end ends a page.
func (g *SeriesLimiter) endPage() {
	g.reserved = 0
	g.mu.Unlock()
}

// account returns the account of a family.
func (g *SeriesLimiter) account(family string) *familyUsage {
	a := g.accounts[family]
	if a != nil {
		return a
	}
	if len(g.accounts) == maxCountedFamilies {
		return &g.overflow
	}
	a = &familyUsage{salt: maphash.String(g.seed, family)}
	g.accounts[family] = a
	return a
}

// saltOf tells the series of families apart. Those of the crowd have no account that could say it.
func (g *SeriesLimiter) saltOf(a *familyUsage, family string) uint64 {
	if a == &g.overflow {
		return maphash.String(g.seed, family)
	}
	return a.salt
}

// room reports whether a family may have n more new series.
func (g *SeriesLimiter) allows(a *familyUsage, n int) bool {
	spent := g.used + g.reserved
	return a.used+a.reserved+n <= g.limit-spent && g.known.used+g.reserved+n <= g.limit+g.pageSeries
}

// spend lets n new series through.
func (g *SeriesLimiter) count(a *familyUsage, n int) {
	a.used += n
	g.used += n
}

// growing is what a block's page has of new series.
type pageUsage struct {
	usage *familyUsage
	salt  uint64
	// shape is that of the last line, admitted what was decided about its labels. run is how many lines of it came so far, and
	// ended says that one of them has no bound.
	labels    *labelTemplate
	admitted  bool
	runLines  int
	runHasInf bool
	// bounds are the lines with one, ends those of histograms without one.
	boundedBuckets, infBuckets int
	// left are the samples that were left out.
	leftOut       int
	labelsLeftOut *leftOutLabels
}

// admits decides about a line of a family. lines is how many the family has with the same labels, as long as that is not known
// better: 1, partLines or assumedSize.
func (g *SeriesLimiter) admit(b *pageUsage, family string, k kind, lines int, sh *labelTemplate, le []byte) bool {
	if b.usage == nil {
		b.usage = g.account(family)
		b.salt = g.saltOf(b.usage, family)
	}
	if b.labels != sh {
		b.endRun()
		b.labels, b.runLines, b.runHasInf = sh, 0, false
		b.admitted = g.admitLabels(b.usage, b.salt+sh.groupHash, lines)
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
		key += sh.groupHash + maphash.Bytes(g.seed, le)
	case sh.hasQuantile:
		key += sh.hash
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

// admitsLabels decides about all lines of a family that have the same labels.
func (g *SeriesLimiter) admitLabels(a *familyUsage, key uint64, lines int) bool {
	if g.known.touch(key) {
		return true
	}
	first, whole := min(lines, partLines), lines
	if lines > 1 {
		whole = cmp.Or(a.size, lines)
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

// endRun learns from the lines of a histogram how many one has. Where those of several are mixed there are no runs.
func (b *pageUsage) endRun() {
	if b.runHasInf && b.runLines > 1 {
		b.usage.size = max(b.usage.size, b.runLines+partLines-1)
	}
}

// endPage learns how many lines a histogram has where those of several are mixed, and lets go of the page.
func (b *pageUsage) endPage() {
	if b.usage != nil {
		b.endRun()
		if b.infBuckets > 0 {
			b.usage.size = max(b.usage.size, (b.boundedBuckets+b.infBuckets-1)/b.infBuckets+partLines)
		}
		b.usage.reserved = 0
	}
	*b = pageUsage{}
}

// knownSeries is a set of hashes with open addressing. The low byte of a slot is the window in which the series was last seen.
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

// touch reports whether a series is known, which it then is for the next window too.
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

// add adds a series that is not there.
func (s *knownSeries) add(hash uint64) {
	if 4*s.used >= 3*len(s.slots) {
		s.rebuild(max(minHashSlots, 2*len(s.slots)), 0)
	}
	s.slots[s.find(hash)] = hash&^windowMask | s.window
	s.used++
}

// rebuild moves what was seen in a window to n slots, or with window 0 all.
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

// turn begins a window and forgets what was not seen in the one before.
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
