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
	maxAccounts = 1 << 10
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
	mu             sync.Mutex
	limit, page    int
	known          knownSeries
	used, promised int
	accounts       map[string]*account
	crowd          account
}

// account is the new series of a family in a window.
type account struct {
	salt uint64
	// used were let through, promised are kept for the rest of histograms that were begun in this page.
	used, promised int
	// size is how many lines the largest histogram of the family has.
	size int
}

// NewGrowth returns a SeriesLimiter of up to limit new series an hour, of pages that have up to page series.
func NewSeriesLimiter(limit, page int) *SeriesLimiter {
	g := &SeriesLimiter{seed: maphash.MakeSeed(), born: time.Now(), page: page}
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
func (g *SeriesLimiter) begin() {
	g.mu.Lock()
	g.limit = int(g.next.Load())
	now, ends := int64(time.Since(g.born)), g.ends.Load()
	if now < ends {
		return
	}
	if now >= ends+int64(growthWindow) {
		g.known = knownSeries{} // nothing is known of the last hour
	}
	g.known.turn()
	g.used, g.accounts, g.crowd = 0, map[string]*account{}, account{}
	g.ends.Store(now + int64(growthWindow))
	g.window.Add(1)
}

// resume begins a page of the current window. The caller must call end.
func (g *SeriesLimiter) resume() { g.mu.Lock() }

// end ends a page.
func (g *SeriesLimiter) end() {
	g.promised = 0
	g.mu.Unlock()
}

// account returns the account of a family.
func (g *SeriesLimiter) account(family string) *account {
	a := g.accounts[family]
	if a != nil {
		return a
	}
	if len(g.accounts) == maxAccounts {
		return &g.crowd
	}
	a = &account{salt: maphash.String(g.seed, family)}
	g.accounts[family] = a
	return a
}

// saltOf tells the series of families apart. Those of the crowd have no account that could say it.
func (g *SeriesLimiter) saltOf(a *account, family string) uint64 {
	if a == &g.crowd {
		return maphash.String(g.seed, family)
	}
	return a.salt
}

// room reports whether a family may have n more new series.
func (g *SeriesLimiter) room(a *account, n int) bool {
	spent := g.used + g.promised
	return a.used+a.promised+n <= g.limit-spent && g.known.used+g.promised+n <= g.limit+g.page
}

// spend lets n new series through.
func (g *SeriesLimiter) spend(a *account, n int) {
	a.used += n
	g.used += n
}

// growing is what a block's page has of new series.
type growing struct {
	account *account
	salt    uint64
	// shape is that of the last line, admitted what was decided about its labels. run is how many lines of it came so far, and
	// ended says that one of them has no bound.
	shape    *shape
	admitted bool
	run      int
	ended    bool
	// bounds are the lines with one, ends those of histograms without one.
	bounds, ends int
	// left are the samples that were left out.
	left  int
	churn *churn
}

// admits decides about a line of a family. lines is how many the family has with the same labels, as long as that is not known
// better: 1, partLines or assumedSize.
func (g *SeriesLimiter) admits(b *growing, family string, k kind, lines int, sh *shape, le []byte) bool {
	if b.account == nil {
		b.account = g.account(family)
		b.salt = g.saltOf(b.account, family)
	}
	if b.shape != sh {
		b.endRun()
		b.shape, b.run, b.ended = sh, 0, false
		b.admitted = g.admitsLabels(b.account, b.salt+sh.group, lines)
	}
	if !b.admitted {
		b.left++
		return false
	}
	key := b.salt
	switch {
	case k == kindBucket && unbounded(le):
		b.run++
		b.ends++
		b.ended = true
		return true
	case k == kindBucket:
		b.run++
		b.bounds++
		key += sh.group + maphash.Bytes(g.seed, le)
	case sh.quantile:
		key += sh.hash
	default:
		return true
	}
	if g.known.touch(key) {
		return true
	}
	a := b.account
	if a.promised > 0 && g.promised > 0 {
		a.promised--
		g.promised--
	} else if !g.room(a, 1) {
		b.left++
		return false
	}
	g.spend(a, 1)
	g.known.add(key)
	return true
}

// admitsLabels decides about all lines of a family that have the same labels.
func (g *SeriesLimiter) admitsLabels(a *account, key uint64, lines int) bool {
	if g.known.touch(key) {
		return true
	}
	first, whole := min(lines, partLines), lines
	if lines > 1 {
		whole = cmp.Or(a.size, lines)
	}
	if !g.room(a, whole) {
		return false
	}
	g.spend(a, first)
	a.promised += whole - first
	g.promised += whole - first
	g.known.add(key)
	return true
}

// endRun learns from the lines of a histogram how many one has. Where those of several are mixed there are no runs.
func (b *growing) endRun() {
	if b.ended && b.run > 1 {
		b.account.size = max(b.account.size, b.run+partLines-1)
	}
}

// endPage learns how many lines a histogram has where those of several are mixed, and lets go of the page.
func (b *growing) endPage() {
	if b.account != nil {
		b.endRun()
		if b.ends > 0 {
			b.account.size = max(b.account.size, (b.bounds+b.ends-1)/b.ends+partLines)
		}
		b.account.promised = 0
	}
	*b = growing{}
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
func (s *knownSeries) turn() {
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
