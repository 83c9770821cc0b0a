package translate

import "github.com/stackscope/stackscope/internal/exposition"

// A seriesSet detects series that a page has twice. Engines write the buckets of a series one after the other with rising
// bounds, so the set needs one entry for each such run; any other line is a run of one. If a run comes again or bounds do not
// rise, the set changes to one entry for each line.
type seriesSet struct {
	runs    hashTable
	lines   hashTable // if perLine
	perLine bool
	// The current run, and the bound of its last bucket, which is a part of the page.
	labels *labelTemplate
	kind   kind
	bound  []byte
}

func (s *seriesSet) clear() {
	s.runs.clear()
	s.lines.clear()
	s.perLine, s.labels, s.bound = false, nil, nil
}

// releasePage drops references to the page.
func (s *seriesSet) releasePage() { s.labels, s.bound = nil, nil }

// isNew reports whether the run that a line continues or begins proves that the line is no duplicate. After the first false the
// caller must call lineBuffer.trackLines.
func (s *seriesSet) isNew(name string, k kind, lt *labelTemplate, le []byte) bool {
	if s.labels == lt && s.kind == k {
		if k != kindBucket || !rises(s.bound, le) {
			return false
		}
		s.bound = le
		return true
	}
	hash := shorten(lt.hash + nameSalt(name))
	s.runs.grow()
	at := s.runs.probe(hash, s.runs.start(hash))
	if s.runs.slots[at].hash != 0 {
		return false
	}
	s.runs.set(at, hash, 0)
	s.labels, s.kind, s.bound = lt, k, le
	return true
}

// rises reports whether the bucket bound next comes after last: by the number of digits before the point, then by text, with
// +Inf at the end. Bounds as engines write them rise in this order. Any strict order would do, since it excludes that a text
// comes twice.
func rises(last, next []byte) bool {
	if last[0] == '+' || next[0] == '+' {
		return last[0] != '+' && string(next) == "+Inf"
	}
	a, b := wholeDigits(last), wholeDigits(next)
	return a < b || a == b && string(last) < string(next)
}

// wholeDigits counts the characters before the point.
func wholeDigits(number []byte) int {
	for i, c := range number {
		if c == '.' {
			return i
		}
	}
	return len(number)
}

// nameSalt makes the hashes of a family's sample names differ. The names all differ in length.
func nameSalt[T string | []byte](name T) uint64 { return uint64(len(name)) * 0x9e3779b97f4a7c15 }

// addLine adds the line that begins at start and reports whether its series is new.
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

// trackLines adds all lines of the buffer, and from now on each line that is written.
func (b *lineBuffer) trackLines(s *labelTemplates) {
	b.known.perLine = true
	var sample exposition.Sample
	for start := 0; start < len(b.text); {
		line, next := cutLine(b.text, start)
		if sample.Parse(line) == nil {
			hash := nameSalt(sample.Name)
			for _, l := range sample.Labels {
				if s.source.isHashed(string(l.Name)) {
					hash += s.hash(l)
				}
			}
			b.addLine(shorten(hash), start, s)
		}
		start = next
	}
}

// A hashTable is a set of hashes with open addressing, each with the position of a line.
type hashTable struct {
	slots []hashSlot // a power of two, at most a quarter full
	used  int
}

// A hashSlot holds enough of a hash that two series rarely share it.
type hashSlot struct {
	hash uint32 // 0: empty
	line uint32 // positions are below MaxPageMemory
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

// set fills an empty slot. The caller must have called grow.
func (t *hashTable) set(at int, hash uint32, line int) {
	t.slots[at] = hashSlot{hash: hash, line: uint32(line)}
	t.used++
}

// grow makes sure that one more fits.
func (t *hashTable) grow() {
	if 4*t.used < len(t.slots) {
		return
	}
	old := t.slots
	t.slots = make([]hashSlot, max(minHashSlots, 2*len(old)))
	for _, s := range old {
		if s.hash != 0 {
			// Probing for 0 finds the next empty slot: equal hashes of different series follow one another.
			t.slots[t.probe(0, t.start(s.hash))] = s
		}
	}
}
