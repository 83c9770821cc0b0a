package translate

import (
	"bytes"
	"hash/maphash"
	"reflect"
	"slices"
	"unsafe"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// A shape is a label block that was read once, with what it becomes in the output. The text between the name and the value
// of nearly every line is one that came before, in the last family or the last page, so it need only be compared. In
// buckets the value of le is left open, and one shape serves all buckets of a series.
type shape struct {
	// before and after are the page's text before and after the value of le, up to the sample's value. A shape without a
	// gap for le has no after.
	before, after string
	// head and tail are what the output has in their places, with the instance's labels.
	head string
	tail []byte
	// hash depends on the set of labels, le left out, not on their order, group also not on quantile.
	hash, group uint64
	// next is the shape that followed this one the last time.
	next int32
	// quantile says that the labels have a quantile, badLE that they have an le, outside a gap, that is not a number.
	quantile, badLE bool
	// badQuantile says that the quantile is not a number.
	badQuantile bool
	// skip says that the mapping's target does not take samples with these labels, sum that it adds them up.
	skip, sum bool
	// folded says that the sample's user is one of OtherUsers.
	folded bool
	// value stands in the place of the sample's own; nil: that one counts.
	value []byte
}

// Bounds of the shapes that are kept between lines. Beyond them all are forgotten.
const (
	maxShapes     = 64 << 10
	maxShapeBytes = 8 << 20
	// maxNatives bounds the texts of folded users, which are many and small. Those beyond it are read anew each time.
	maxNatives  = 256 << 10
	nativeBytes = 32
)

// shapes is the shapes known for one Source, those of each form apart.
type shapes struct {
	source *Source
	plan   *mapping.Plan
	seed   maphash.Seed
	forms  []form
	memory *memory
	users  *Users // nil: labels of users are as any other
	n      int    // shapes in all forms
	native int    // texts of folded users in all forms
	learnt uint64 // shapes ever added
	bytes  int
	// Memory that is used again and again.
	labels []exposition.Label
	key    []byte
	pair   [2]exposition.Sample
}

// A form is what a target does to label blocks, with the shapes of the blocks that it was done to, gapped ones and others
// apart. The first shape of each list is a placeholder that no line matches. The first form changes nothing.
type form struct {
	change *mapping.Change
	plain  shapeList
	gapped shapeList
}

type shapeList struct {
	list  []shape
	index map[string]int32 // by before, NUL and after
	cur   int32
	// Users beyond a limit are many, and what becomes of them is the same: there is one shape for them all, which matches no
	// line, and of each native text nothing but a hash is kept.
	folded map[string]int32 // by what the output has
	native map[uint64]int32
}

// reset forgets all shapes. The list is a new one: blocks hold on to shapes of the old.
func (l *shapeList) reset() {
	l.list = []shape{{before: "\x00"}}
	clear(l.index)
	if l.index == nil {
		l.index = map[string]int32{}
	}
	l.cur = 0
	clear(l.folded)
	clear(l.native)
}

// use makes the shapes ready for a page of src under plan, with what users decide.
func (s *shapes) use(src *Source, plan *mapping.Plan, users *Users) {
	first := s.forms == nil
	if first && s.seed == (maphash.Seed{}) {
		s.seed = maphash.MakeSeed()
	}
	if first || s.plan != plan {
		s.forms = append(s.forms[:0], form{})
	}
	if first || s.plan != plan || s.source != src || s.users != users {
		s.source, s.plan, s.users = src, plan, users
		s.reset()
	}
	for i := range s.forms {
		s.forms[i].plain.cur, s.forms[i].gapped.cur = 0, 0
	}
}

// charge makes the shapes take their memory from m, what they have first.
func (s *shapes) charge(m *memory) {
	s.memory = m
	m.left -= s.held()
}

// held is what the shapes hold. shapeBytes is what one does besides its text.
func (s *shapes) held() int { return s.bytes + s.n*shapeBytes + s.native*nativeBytes }

// yield forgets all shapes if that frees n bytes for lines, which cannot be made anew.
func (s *shapes) yield(n int) bool {
	if s.memory.left+s.held() < n {
		return false
	}
	s.memory.give(s.held())
	s.reset()
	return true
}

const shapeBytes = int(unsafe.Sizeof(shape{})) + 64

func (s *shapes) reset() {
	for i := range s.forms {
		s.forms[i].plain.reset()
		s.forms[i].gapped.reset()
	}
	s.n, s.native, s.bytes = 0, 0, 0
}

// form returns the index of the form of a change.
func (s *shapes) form(c *mapping.Change) int {
	for i := range s.forms {
		if s.forms[i].change == c || c != nil && s.forms[i].change != nil && reflect.DeepEqual(*s.forms[i].change, *c) {
			return i
		}
	}
	s.forms = append(s.forms, form{change: c})
	f := &s.forms[len(s.forms)-1]
	f.plain.reset()
	f.gapped.reset()
	return len(s.forms) - 1
}

// forget lets go of the page.
func (s *shapes) forget() { clear(s.labels[:cap(s.labels)]) }

// lineSize returns the length of the line that the shape makes of a sample.
func (sh *shape) lineSize(name string, le, value []byte) int {
	return len(name) + len(sh.head) + len(le) + len(sh.tail) + len(value) + 1
}

// find returns the shape that a form makes of a line that was parsed, and for a gapped one the value of le; nil if a gap is
// asked for and there is no le that is a number.
func (s *shapes) find(formed int, line []byte, sample *exposition.Sample, gap bool) (sh *shape, le []byte) {
	list := &s.forms[formed].plain
	before, after := line[len(sample.Name):sample.At], []byte(nil)
	if gap {
		list = &s.forms[formed].gapped
		at := slices.IndexFunc(sample.Labels, func(l exposition.Label) bool { return string(l.Name) == labelLE })
		if at < 0 || !exposition.ValidNumber(sample.Labels[at].Value) {
			return nil, nil
		}
		l := sample.Labels[at]
		le, before, after = l.Value, line[len(sample.Name):l.At], line[l.At+len(l.Value):sample.At]
	}
	s.key = append(append(append(s.key[:0], before...), 0), after...)
	i, ok := list.index[string(s.key)]
	if !ok && len(list.native) > 0 {
		i, ok = list.native[maphash.Bytes(s.seed, s.key)]
	}
	if !ok {
		if s.n >= maxShapes || s.bytes > maxShapeBytes || !s.memory.take(shapeBytes) {
			s.memory.give(s.held())
			s.reset()
			s.memory.left -= shapeBytes
		}
		i = s.add(list, s.forms[formed].change, len(before), sample, gap)
	}
	list.list[list.cur].next = i
	list.cur = i
	return &list.list[i], le
}

// add makes the shape of which s.key is the native text.
func (s *shapes) add(list *shapeList, c *mapping.Change, before int, sample *exposition.Sample, gap bool) int32 {
	var sh shape
	native := sample.Labels
	if c != nil {
		native = sh.changeLabels(c, native)
	}
	if s.users != nil && !sh.skip {
		native = s.users.apply(&sh, native)
	}
	labels := s.source.relabel(s.labels[:0], native)
	s.labels = labels
	var head, tail []byte
	out := &head
	*out = append(*out, '{')
	*out = append(*out, s.source.rendered...)
	for _, l := range labels {
		if len(*out) > 1 || out == &tail {
			*out = append(*out, ',')
		}
		*out = append(*out, l.Name...)
		*out = append(*out, '=', '"')
		switch {
		case gap && string(l.Name) == labelLE:
			out = &tail
		default:
			*out = append(*out, l.Value...)
			if string(l.Name) == labelQuantile {
				sh.quantile, sh.badQuantile = true, !exposition.ValidNumber(l.Value)
			}
			sh.badLE = sh.badLE || string(l.Name) == labelLE && !exposition.ValidNumber(l.Value)
			h := s.hash(l)
			sh.hash += h
			if string(l.Name) != labelQuantile {
				sh.group += h
			}
		}
		*out = append(*out, '"')
	}
	if len(head) == 1 && !gap {
		*out = append((*out)[:0], ' ')
	} else {
		*out = append(*out, '}', ' ')
	}
	if sh.folded {
		return s.addFolded(list, sh, head, tail, gap)
	}
	key := string(s.key)
	sh.before, sh.after = key[:before], key[before+1:]
	sh.head, sh.tail = string(head), slices.Grow(tail, shortBytes)
	s.bytes += len(key) + len(head) + len(tail)
	s.memory.left -= len(key) + len(head) + len(tail) // it may come out below 0 by that much
	s.n++
	s.learnt++
	i := int32(len(list.list))
	list.list = append(list.list, sh)
	list.index[key] = i
	return i
}

// addFolded makes the shape of which s.key is one of the native texts, or finds it.
func (s *shapes) addFolded(list *shapeList, sh shape, head, tail []byte, gap bool) int32 {
	if list.folded == nil {
		list.folded, list.native = map[string]int32{}, map[uint64]int32{}
	}
	out := string(head) + "\x00" + string(tail)
	i, ok := list.folded[out]
	if !ok {
		i = int32(len(list.list))
		sh.before, sh.head, sh.tail = "\x00", string(head), slices.Grow(tail, shortBytes)
		if gap {
			sh.after = sh.before
		}
		list.list = append(list.list, sh)
		list.folded[out] = i
		s.bytes += 2 * len(out)
		s.memory.left -= 2 * len(out)
	}
	s.memory.give(shapeBytes)
	if s.native < maxNatives && s.memory.take(nativeBytes) {
		list.native[maphash.Bytes(s.seed, s.key)] = i
		s.native++
		s.learnt++
	}
	return i
}

// hash returns a hash of a label. Those of several labels are added up, so each must be well mixed.
func (s *shapes) hash(l exposition.Label) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.Write(l.Name)
	_ = h.WriteByte(0)
	_, _ = h.Write(l.Value)
	return h.Sum64()
}

func labelValue(labels []exposition.Label, name string) []byte {
	for i := range labels {
		if string(labels[i].Name) == name {
			return labels[i].Value
		}
	}
	return nil
}

// sameLabels reports whether two parsed lines have the same labels, in any order.
func sameLabels(a, b *exposition.Sample) bool {
	if len(a.Labels) != len(b.Labels) {
		return false
	}
	for _, l := range a.Labels {
		if !bytes.Equal(l.Value, labelValue(b.Labels, string(l.Name))) {
			return false
		}
	}
	return true
}
