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

// A labelTemplate is a label block that was parsed once, with the label block that it becomes in the output:
//
//	native   {rank="0",finished_reason="stop"}
//	unified  {model_instance_name="a",rank="0",finished_reason="stop"}
//
// Nearly every line has labels that an earlier line or the last page had, spelled the same, so that comparing the text
// replaces parsing it. The template of a bucket leaves the value of le open and serves all buckets of a series.
type labelTemplate struct {
	// before and after are the page's text between name and value, before and after the value of le. Only templates of buckets
	// have an after.
	before, after string
	// head and tail are what the output has in place of before and after, with the instance's labels.
	head string
	tail []byte
	// hash is a hash of the set of labels without le, in whatever order; groupHash is one without quantile, too. With max_over
	// neither has the labels that number replicas; fullHash is hash with them.
	hash, groupHash, fullHash uint64
	quantity                  quantity
	// replica is the place of the sample among its replicas, in a form whose bytes compare like it; nil without max_over.
	// Samples with the same replicaHash are replicas of each other.
	replica     []byte
	replicaHash uint64
	// next is the template that followed this one last time.
	next int32
	// hasQuantile says that there is a label quantile, badLE that there is an le that is not a number.
	hasQuantile, badLE bool
	// badQuantile says that the quantile is not a number.
	badQuantile bool
	// skip says that the target does not take samples with these labels, sum that it adds up those with the same output, max that
	// it takes the largest of several replicas.
	skip, sum, max bool
	// skipped says why, if skip is set.
	skipped skipReason
	// folded says that the sample's user is beyond the limit of Users, and part of OtherUsers.
	folded bool
	// fixedValue replaces the sample's value; nil: it does not.
	fixedValue []byte
}

// Bounds of the label templates that are kept. Beyond them all are forgotten.
const (
	maxLabelTemplates = 64 << 10
	maxLabelTextBytes = 8 << 20
	// maxFoldedTexts bounds the label blocks of folded users that are recognized. Others are parsed on every page.
	maxFoldedTexts  = 256 << 10
	foldedTextBytes = 32
)

// labelTemplates are the label templates of one Source, by label rewrite.
type labelTemplates struct {
	source      *Source
	plan        *mapping.Plan
	seed        maphash.Seed
	rewrites    []labelRewrite
	memory      *memory
	users       *Users // nil: label user is like any other
	count       int    // templates in all rewrites
	foldedTexts int    // in all rewrites
	added       uint64 // templates ever added
	textBytes   int
	// Buffers for reuse.
	labels []exposition.Label
	key    []byte
	pair   [2]exposition.Sample
}

// A labelRewrite is what a target does to labels, with the templates of the label blocks that it was done to. The first rewrite
// changes nothing. The first template of each list is a placeholder that no line matches.
type labelRewrite struct {
	change  *mapping.Change
	plain   templateList
	buckets templateList
}

type templateList struct {
	templates []labelTemplate
	index     map[string]int32 // by before, NUL and after
	last      int32
	// There may be many users beyond the limit, and their label blocks all become the same: they share one template, which
	// matches no line, and only a hash of each native text is kept.
	folded      map[string]int32 // by output
	foldedTexts map[uint64]int32
}

// reset forgets all templates. The slice is a new one, since line buffers still refer to templates of the old one.
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

// prepare prepares for a page. A new source, plan or list of users makes all templates void.
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

// chargeTo makes the templates take their memory from m, first for those that there are.
func (s *labelTemplates) chargeTo(m *memory) {
	s.memory = m
	m.left -= s.heldBytes()
}

// heldBytes returns how much memory the templates take.
func (s *labelTemplates) heldBytes() int {
	return s.textBytes + s.count*labelTemplateBytes + s.foldedTexts*foldedTextBytes
}

// forgetToFree forgets all templates if that frees n bytes for lines: a template can be made again, a line cannot.
func (s *labelTemplates) forgetToFree(n int) bool {
	if s.memory.left+s.heldBytes() < n {
		return false
	}
	s.memory.release(s.heldBytes())
	s.reset()
	return true
}

// labelTemplateBytes is about how much memory a template takes besides its text.
const labelTemplateBytes = int(unsafe.Sizeof(labelTemplate{})) + 64

func (s *labelTemplates) reset() {
	for i := range s.rewrites {
		s.rewrites[i].plain.reset()
		s.rewrites[i].buckets.reset()
	}
	s.count, s.foldedTexts, s.textBytes = 0, 0, 0
}

// rewriteFor returns the index of the label rewrite of a change.
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

// releasePage drops references to the page.
func (s *labelTemplates) releasePage() { clear(s.labels[:cap(s.labels)]) }

// lineSize returns the length of the output line of a sample.
func (lt *labelTemplate) lineSize(name string, le, value []byte) int {
	return len(name) + len(lt.head) + len(le) + len(lt.tail) + len(value) + 1
}

// find returns the label template of a parsed line for a rewrite, and of a bucket the value of le. It returns nil for a bucket
// whose le is missing or not a number.
func (s *labelTemplates) find(rewrite int, line []byte, sample *exposition.Sample, bucket bool) (lt *labelTemplate, le []byte) {
	list := &s.rewrites[rewrite].plain
	before, after := line[len(sample.Name):sample.At], []byte(nil)
	if bucket {
		list = &s.rewrites[rewrite].buckets
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
		i = s.add(list, s.rewrites[rewrite].change, len(before), sample, bucket)
	}
	list.templates[list.last].next = i
	list.last = i
	return &list.templates[i], le
}

// add makes the template whose native text is s.key.
func (s *labelTemplates) add(list *templateList, c *mapping.Change, before int, sample *exposition.Sample, bucket bool) int32 {
	var lt labelTemplate
	native := sample.Labels
	if c != nil {
		native = lt.applyChange(c, native)
	}
	if s.users != nil && !lt.skip {
		native = s.users.rewriteLabels(&lt, native)
	}
	src := s.source.of(sample.Labels)
	labels := src.relabel(s.labels[:0], native)
	s.labels = labels
	for _, l := range src.hashed {
		h := s.hash(l)
		lt.hash += h
		lt.groupHash += h
	}
	var head, tail []byte
	out := &head
	*out = append(*out, '{')
	*out = append(*out, src.rendered...)
	for _, l := range labels {
		if len(*out) > 1 || out == &tail {
			*out = append(*out, ',')
		}
		*out = append(*out, l.Name...)
		*out = append(*out, '=', '"')
		switch {
		case bucket && string(l.Name) == labelLE:
			out = &tail
		default:
			*out = append(*out, l.Value...)
			if string(l.Name) == labelQuantile {
				lt.hasQuantile, lt.badQuantile = true, !exposition.ValidNumber(l.Value)
			}
			lt.badLE = lt.badLE || string(l.Name) == labelLE && !exposition.ValidNumber(l.Value)
			if !s.source.isHashed(string(l.Name)) {
				break
			}
			h := s.hash(l)
			lt.hash += h
			if string(l.Name) != labelQuantile {
				lt.groupHash += h
			}
		}
		*out = append(*out, '"')
	}
	if len(head) == 1 && !bucket {
		*out = append((*out)[:0], ' ')
	} else {
		*out = append(*out, '}', ' ')
	}
	lt.fullHash = lt.hash
	if c != nil && len(c.MaxOver) > 0 && !lt.skip {
		s.setReplica(&lt, c, src, sample.Labels, bucket)
	}
	if lt.folded && !lt.max {
		return s.addFolded(list, lt, native, head, tail, bucket)
	}
	if !lt.max {
		lt.quantity = s.quantityOf(native)
	}
	key := string(s.key)
	lt.before, lt.after = key[:before], key[before+1:]
	lt.head, lt.tail = string(head), slices.Grow(tail, shortBytes)
	s.textBytes += len(key) + len(head) + len(tail)
	s.memory.left -= len(key) + len(head) + len(tail) // may become negative by that much
	s.count++
	s.added++
	i := int32(len(list.templates))
	list.templates = append(list.templates, lt)
	list.index[key] = i
	return i
}

// addFolded adds s.key to the native texts of a template that folded users share, and makes that template if it is new.
func (s *labelTemplates) addFolded(list *templateList, lt labelTemplate, native []exposition.Label, head, tail []byte, bucket bool) int32 {
	if list.folded == nil {
		list.folded, list.foldedTexts = map[string]int32{}, map[uint64]int32{}
	}
	out := string(head) + "\x00" + string(tail)
	i, ok := list.folded[out]
	if !ok {
		i = int32(len(list.templates))
		lt.quantity = s.quantityOf(native)
		lt.before, lt.head, lt.tail = "\x00", string(head), slices.Grow(tail, shortBytes)
		if bucket {
			lt.after = lt.before
		}
		list.templates = append(list.templates, lt)
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

// hash returns a hash of a label. The hashes of several labels are added, so each must be well distributed.
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
