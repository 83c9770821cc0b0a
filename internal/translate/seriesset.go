package translate

import "github.com/stackscope/stackscope/internal/exposition"

// seen knows which series a block has. Engines write the buckets of a series one after the other, their bounds rising, so
// it suffices to know the runs, a line of another kind being a run of one. Where a run comes back or bounds do not rise,
// seen turns strict and knows each line.
type seriesSet struct {
	runs    hashTable
	lines   hashTable // used when strict
	perLine bool
	// The current run, and the bound of its last bucket as a part of the page.
	labels *labelTemplate
	kind   kind
	bound  []byte
}

func (s *seriesSet) clear() {
	s.runs.clear()
	s.lines.clear()
	s.perLine, s.labels, s.bound = false, nil, nil
}

// forget lets go of the page.
func (s *seriesSet) releasePage() { s.labels, s.bound = nil, nil }

// fresh reports whether a line is known to be no duplicate by the run that it continues or begins. The answer no is final
// for the block: seen must be made strict.
func (s *seriesSet) isNew(name string, k kind, sh *labelTemplate, le []byte) bool {
	if s.labels == sh && s.kind == k {
		if k != kindBucket || !rises(s.bound, le) {
			return false
		}
		s.bound = le
		return true
	}
	hash := shorten(sh.hash + nameSalt(name))
	s.runs.grow()
	at := s.runs.probe(hash, s.runs.start(hash))
	if s.runs.slots[at].hash != 0 {
		return false
	}
	s.runs.set(at, hash, 0)
	s.labels, s.kind, s.bound = sh, k, le
	return true
}

// rises reports whether next comes after last in an order in which the usual spellings of rising bounds rise: by digits
// before the point, then by text, +Inf at the end. All that counts is that it is an order, so that of texts that rise no
// two are equal.
func rises(last, next []byte) bool {
	if last[0] == '+' || next[0] == '+' {
		return last[0] != '+' && string(next) == "+Inf"
	}
	a, b := wholeDigits(last), wholeDigits(next)
	return a < b || a == b && string(last) < string(next)
}

// wholeDigits counts what comes before the point. The numbers are short.
func wholeDigits(number []byte) int {
	for i, c := range number {
		if c == '.' {
			return i
		}
	}
	return len(number)
}

// nameSalt tells the hashes of a family's sample names apart. They all differ in length.
func nameSalt[T string | []byte](name T) uint64 { return uint64(len(name)) * 0x9e3779b97f4a7c15 }

// enter enters the line that begins at start and reports whether its series was not there yet.
func (b *lineBuffer) addLine(hash uint32, start int, s *labelTemplates) bool {
	t := &b.known.lines
	t.grow()
	at := t.probe(hash, t.start(hash))
	for t.slots[at].hash != 0 {
		if b.sameSeries(int(t.slots[at].line), start, s) {
			return false
		}
		at = t.probe(hash, at+1)
	}
	t.set(at, hash, start)
	return true
}

// makeStrict enters all lines that are there.
func (b *lineBuffer) trackLines(s *labelTemplates) {
	b.known.perLine = true
	var sample exposition.Sample
	for start := 0; start < len(b.text); {
		line, next := cutLine(b.text, start)
		if sample.Parse(line) == nil {
			hash := nameSalt(sample.Name)
			for _, l := range sample.Labels {
				if !s.source.has(string(l.Name)) { // shapes leave the instance's own labels out
					hash += s.hash(l)
				}
			}
			b.addLine(shorten(hash), start, s)
		}
		start = next
	}
}

// hashTable is a set of hashes with open addressing, each with the place of a line.
type hashTable struct {
	slots []hashSlot // a power of two, at most a quarter full
	used  int
}

// A hashSlot holds so much of a hash that two different series seldom agree in it.
type hashSlot struct {
	hash uint32 // 0 is empty
	line uint32 // MaxPageMemory fits
}

const minHashSlots = 16

func (t *hashTable) clear() {
	if t.used > 0 {
		clear(t.slots)
		t.used = 0
	}
}

// shorten returns the part of a hash that a slot holds.
func shorten(hash uint64) uint32 { return uint32(hash>>32) | 1 }

// start returns the index of the slot where the search for a hash begins.
func (t *hashTable) start(hash uint32) int { return int(hash>>1) & (len(t.slots) - 1) }

// probe returns the index of the first slot, from at on, that holds the hash or is empty.
func (t *hashTable) probe(hash uint32, at int) int {
	for {
		at &= len(t.slots) - 1
		if h := t.slots[at].hash; h == 0 || h == hash {
			return at
		}
		at++
	}
}

// set fills an empty slot. There is room for it only after grow.
func (t *hashTable) set(at int, hash uint32, line int) {
	t.slots[at] = hashSlot{hash: hash, line: uint32(line)}
	t.used++
}

// grow makes room for one more.
func (t *hashTable) grow() {
	if 4*t.used < len(t.slots) {
		return
	}
	old := t.slots
	t.slots = make([]hashSlot, max(minHashSlots, 2*len(old)))
	for _, s := range old {
		if s.hash != 0 {
			// Looking for 0 finds the next empty slot: equal hashes of different series stand one after the other.
			t.slots[t.probe(0, t.start(s.hash))] = s
		}
	}
}
