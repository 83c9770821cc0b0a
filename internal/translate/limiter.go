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
	l := &SeriesLimiter{seed: maphash.MakeSeed(), born: time.Now(), pageSeries: page}
	l.SetLimit(limit)
	l.ends.Store(-1)
	return l
}

// SetLimit sets the limit for the next page. It does not wait for the current one.
func (l *SeriesLimiter) SetLimit(n int) { l.next.Store(int64(n)) }

// Usage says how much of the limit is used in the current window.
type Usage struct {
	Window      uint32 // its number
	Used, Limit int
	Left        time.Duration // until the window ends
}

// Usage returns how much of the limit is used.
func (l *SeriesLimiter) Usage() Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := time.Duration(l.ends.Load()) - time.Since(l.born)
	return Usage{Window: l.window.Load(), Used: l.used, Limit: l.limit, Left: max(0, left)}
}

// isCurrent reports whether a window is the current one and has not ended.
func (l *SeriesLimiter) isCurrent(window uint32) bool {
	return l.window.Load() == window && int64(time.Since(l.born)) < l.ends.Load()
}

// beginPage locks the limiter for a page and begins a new window if it is time. The caller must call endPage.
func (l *SeriesLimiter) beginPage() {
	l.mu.Lock()
	l.limit = int(l.next.Load())
	now, ends := int64(time.Since(l.born)), l.ends.Load()
	if now < ends {
		return
	}
	if now >= ends+int64(limiterWindow) {
		l.known = knownSeries{} // no page in the last hour
	}
	l.known.startWindow()
	l.used, l.families, l.overflow = 0, map[string]*familyUsage{}, familyUsage{}
	l.ends.Store(now + int64(limiterWindow))
	l.window.Add(1)
}

// resumePage is beginPage for a page of the current window.
func (l *SeriesLimiter) resumePage() { l.mu.Lock() }

// endPage ends a page.
func (l *SeriesLimiter) endPage() {
	l.reserved = 0
	l.mu.Unlock()
}

// usageOf returns the usage of a family.
func (l *SeriesLimiter) usageOf(family string) *familyUsage {
	f := l.families[family]
	if f != nil {
		return f
	}
	if len(l.families) == maxCountedFamilies {
		return &l.overflow
	}
	f = &familyUsage{salt: maphash.String(l.seed, family)}
	l.families[family] = f
	return f
}

// saltOf returns a number that makes the hashes of different families' series differ.
func (l *SeriesLimiter) saltOf(f *familyUsage, family string) uint64 {
	if f == &l.overflow {
		return maphash.String(l.seed, family)
	}
	return f.salt
}

// allows reports whether a family may have n more new series.
func (l *SeriesLimiter) allows(f *familyUsage, n int) bool {
	spent := l.used + l.reserved
	return f.used+f.reserved+n <= l.limit-spent && l.known.used+l.reserved+n <= l.limit+l.pageSeries
}

// count counts n new series.
func (l *SeriesLimiter) count(f *familyUsage, n int) {
	f.used += n
	l.used += n
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
func (l *SeriesLimiter) admit(u *pageUsage, family string, k kind, lines int, lt *labelTemplate, le []byte) bool {
	if u.usage == nil {
		u.usage = l.usageOf(family)
		u.salt = l.saltOf(u.usage, family)
	}
	if u.labels != lt {
		u.endRun()
		u.labels, u.runLines, u.runHasInf = lt, 0, false
		u.admitted = l.admitLabels(u.usage, u.salt+lt.groupHash, lines)
	}
	if !u.admitted {
		u.leftOut++
		return false
	}
	key := u.salt
	switch {
	case k == kindBucket && isInf(le):
		u.runLines++
		u.infBuckets++
		u.runHasInf = true
		return true
	case k == kindBucket:
		u.runLines++
		u.boundedBuckets++
		key += lt.groupHash + maphash.Bytes(l.seed, le)
	case lt.hasQuantile:
		key += lt.hash
	default:
		return true
	}
	if l.known.touch(key) {
		return true
	}
	f := u.usage
	if f.reserved > 0 && l.reserved > 0 {
		f.reserved--
		l.reserved--
	} else if !l.allows(f, 1) {
		u.leftOut++
		return false
	}
	l.count(f, 1)
	l.known.add(key)
	return true
}

// admitLabels decides about all lines of a family that have the same labels.
func (l *SeriesLimiter) admitLabels(f *familyUsage, key uint64, lines int) bool {
	if l.known.touch(key) {
		return true
	}
	first, whole := min(lines, fixedLines), lines
	if lines > 1 {
		whole = cmp.Or(f.histogramLines, lines)
	}
	if !l.allows(f, whole) {
		return false
	}
	l.count(f, first)
	f.reserved += whole - first
	l.reserved += whole - first
	l.known.add(key)
	return true
}

// endRun learns from consecutive buckets how many lines a histogram has.
func (u *pageUsage) endRun() {
	if u.runHasInf && u.runLines > 1 {
		u.usage.histogramLines = max(u.usage.histogramLines, u.runLines+fixedLines-1)
	}
}

// endPage learns how many lines a histogram has if the lines of several are interleaved, and resets the usage for the next page.
func (u *pageUsage) endPage() {
	if u.usage != nil {
		u.endRun()
		if u.infBuckets > 0 {
			u.usage.histogramLines = max(u.usage.histogramLines, (u.boundedBuckets+u.infBuckets-1)/u.infBuckets+fixedLines)
		}
		u.usage.reserved = 0
	}
	*u = pageUsage{}
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
