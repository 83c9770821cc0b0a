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
type labelTemplate struct {
	// before and after are the page's text before and after the value of le, up to the sample's value. A shape without a
	// gap for le has no after.
	before, after string
	// head and tail are what the output has in their places, with the instance's labels.
	head string
	tail []byte
	// hash depends on the set of labels, le left out, not on their order, group also not on quantile.
	hash, groupHash uint64
	// next is the shape that followed this one the last time.
	next int32
	// quantile says that the labels have a quantile, badLE that they have an le, outside a gap, that is not a number.
	hasQuantile, badLE bool
	// badQuantile says that the quantile is not a number.
	badQuantile bool
	// skip says that the mapping's target does not take samples with these labels, sum that it adds them up.
	skip, sum bool
	// folded says that the sample's user is one of OtherUsers.
	folded bool
	// value stands in the place of the sample's own; nil: that one counts.
	fixedValue []byte
}

// Bounds of the shapes that are kept between lines. Beyond them all are forgotten.
const (
	maxLabelTemplates = 64 << 10
	maxLabelTextBytes = 8 << 20
	// maxNatives bounds the texts of folded users, which are many and small. Those beyond it are read anew each time.
	maxFoldedTexts  = 256 << 10
	foldedTextBytes = 32
)

// shapes is the shapes known for one Source, those of each form apart.
type labelTemplates struct {
	source      *Source
	plan        *mapping.Plan
	seed        maphash.Seed
	rewrites    []labelRewrite
	memory      *memory
	users       *Users // nil: labels of users are as any other
	count       int    // shapes in all forms
	foldedTexts int    // texts of folded users in all forms
	added       uint64 // shapes ever added
	textBytes   int
	// Memory that is used again and again.
	labels []exposition.Label
	key    []byte
	pair   [2]exposition.Sample
}

// A form is what a target does to label blocks, with the shapes of the blocks that it was done to, gapped ones and others
// apart. The first shape of each list is a placeholder that no line matches. The first form changes nothing.
type labelRewrite struct {
	change  *mapping.Change
	plain   templateList
	buckets templateList
}

type templateList struct {
	templates []labelTemplate
	index     map[string]int32 // by before, NUL and after
	last      int32
	// Users beyond a limit are many, and what becomes of them is the same: there is one shape for them all, which matches no
	// line, and of each native text nothing but a hash is kept.
	folded      map[string]int32 // by what the output has
	foldedTexts map[uint64]int32
}

// reset forgets all shapes. The list is a new one: blocks hold on to shapes of the old.
func (l *templateList) reset() {
	l.templates = []labelTemplate{{before: "\x00"}}
	clear(l.index)
	if l.index == nil {
		l.index = map[string]int32{}
	}
	l.last = 0
	clear(l.folded)
	clear(l.foldedTexts)
}

// use makes the shapes ready for a page of src under plan, with what users decide.
func (s *labelTemplates) prepare(src *Source, plan *mapping.Plan, users *Users) {
	first := s.rewrites == nil
	if first && s.seed == (maphash.Seed{}) {
		s.seed = maphash.MakeSeed()
	}
	if first || s.plan != plan {
		s.rewrites = append(s.rewrites[:0], labelRewrite{})
	}
	if first || s.plan != plan || s.source != src || s.users != users {
		s.source, s.plan, s.users = src, plan, users
		s.reset()
	}
	for i := range s.rewrites {
		s.rewrites[i].plain.last, s.rewrites[i].buckets.last = 0, 0
	}
}

// charge makes the shapes take their memory from m, what they have first.
func (s *labelTemplates) chargeTo(m *memory) {
	s.memory = m
	m.left -= s.heldBytes()
}

// held is what the shapes hold. shapeBytes is what one does besides its text.
func (s *labelTemplates) heldBytes() int {
	return s.textBytes + s.count*labelTemplateBytes + s.foldedTexts*foldedTextBytes
}

// yield forgets all shapes if that frees n bytes for lines, which cannot be made anew.
func (s *labelTemplates) forgetToFree(n int) bool {
	if s.memory.left+s.heldBytes() < n {
		return false
	}
	s.memory.release(s.heldBytes())
	s.reset()
	return true
}

const labelTemplateBytes = int(unsafe.Sizeof(labelTemplate{})) + 64

func (s *labelTemplates) reset() {
	for i := range s.rewrites {
		s.rewrites[i].plain.reset()
		s.rewrites[i].buckets.reset()
	}
	s.count, s.foldedTexts, s.textBytes = 0, 0, 0
}

// form returns the index of the form of a change.
func (s *labelTemplates) rewriteFor(c *mapping.Change) int {
	for i := range s.rewrites {
		if s.rewrites[i].change == c || c != nil && s.rewrites[i].change != nil && reflect.DeepEqual(*s.rewrites[i].change, *c) {
			return i
		}
	}
	s.rewrites = append(s.rewrites, labelRewrite{change: c})
	f := &s.rewrites[len(s.rewrites)-1]
	f.plain.reset()
	f.buckets.reset()
	return len(s.rewrites) - 1
}

// forget lets go of the page.
func (s *labelTemplates) releasePage() { clear(s.labels[:cap(s.labels)]) }

// lineSize returns the length of the line that the shape makes of a sample.
func (sh *labelTemplate) lineSize(name string, le, value []byte) int {
	return len(name) + len(sh.head) + len(le) + len(sh.tail) + len(value) + 1
}

// find returns the shape that a form makes of a line that was parsed, and for a gapped one the value of le; nil if a gap is
// asked for and there is no le that is a number.
func (s *labelTemplates) find(formed int, line []byte, sample *exposition.Sample, gap bool) (sh *labelTemplate, le []byte) {
	list := &s.rewrites[formed].plain
	before, after := line[len(sample.Name):sample.At], []byte(nil)
	if gap {
		list = &s.rewrites[formed].buckets
		at := slices.IndexFunc(sample.Labels, func(l exposition.Label) bool { return string(l.Name) == labelLE })
		if at < 0 || !exposition.ValidNumber(sample.Labels[at].Value) {
			return nil, nil
		}
		l := sample.Labels[at]
		le, before, after = l.Value, line[len(sample.Name):l.At], line[l.At+len(l.Value):sample.At]
	}
	s.key = append(append(append(s.key[:0], before...), 0), after...)
	i, ok := list.index[string(s.key)]
	if !ok && len(list.foldedTexts) > 0 {
		i, ok = list.foldedTexts[maphash.Bytes(s.seed, s.key)]
	}
	if !ok {
		if s.count >= maxLabelTemplates || s.textBytes > maxLabelTextBytes || !s.memory.take(labelTemplateBytes) {
			s.memory.release(s.heldBytes())
			s.reset()
			s.memory.left -= labelTemplateBytes
		}
		i = s.add(list, s.rewrites[formed].change, len(before), sample, gap)
	}
	list.templates[list.last].next = i
	list.last = i
	return &list.templates[i], le
}

// add makes the shape of which s.key is the native text.
func (s *labelTemplates) add(list *templateList, c *mapping.Change, before int, sample *exposition.Sample, gap bool) int32 {
	var sh labelTemplate
	native := sample.Labels
	if c != nil {
		native = sh.applyChange(c, native)
	}
	if s.users != nil && !sh.skip {
		native = s.users.rewriteLabels(&sh, native)
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
				sh.hasQuantile, sh.badQuantile = true, !exposition.ValidNumber(l.Value)
			}
			sh.badLE = sh.badLE || string(l.Name) == labelLE && !exposition.ValidNumber(l.Value)
			h := s.hash(l)
			sh.hash += h
			if string(l.Name) != labelQuantile {
				sh.groupHash += h
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
	s.textBytes += len(key) + len(head) + len(tail)
	s.memory.left -= len(key) + len(head) + len(tail) // it may come out below 0 by that much
	s.count++
	s.added++
	i := int32(len(list.templates))
	list.templates = append(list.templates, sh)
	list.index[key] = i
	return i
}

// addFolded makes the shape of which s.key is one of the native texts, or finds it.
func (s *labelTemplates) addFolded(list *templateList, sh labelTemplate, head, tail []byte, gap bool) int32 {
	if list.folded == nil {
		list.folded, list.foldedTexts = map[string]int32{}, map[uint64]int32{}
	}
	out := string(head) + "\x00" + string(tail)
	i, ok := list.folded[out]
	if !ok {
		i = int32(len(list.templates))
		sh.before, sh.head, sh.tail = "\x00", string(head), slices.Grow(tail, shortBytes)
		if gap {
			sh.after = sh.before
		}
		list.templates = append(list.templates, sh)
		list.folded[out] = i
		s.textBytes += 2 * len(out)
		s.memory.left -= 2 * len(out)
	}
	s.memory.release(labelTemplateBytes)
	if s.foldedTexts < maxFoldedTexts && s.memory.take(foldedTextBytes) {
		list.foldedTexts[maphash.Bytes(s.seed, s.key)] = i
		s.foldedTexts++
		s.added++
	}
	return i
}

// hash returns a hash of a label. Those of several labels are added up, so each must be well mixed.
func (s *labelTemplates) hash(l exposition.Label) uint64 {
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
