package translate

import (
	"bytes"
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/exposition"
)

// This file decides which samples stay when several native metrics of a page feed one unified metric. The samples of each are
// collected in a lineBuffer of its own; at the end of the page the native metric that comes first in the mapping keeps all, and
// the others keep what is certainly about something else.

// identifying are the labels that tell two things of an engine apart even if other labels of theirs have different names: its
// models and its data-parallel ranks.
var identifying = [...]string{"model_name", "model", "served_model", "engine", "dp_rank"}

// A quantity is what the samples of a label template are about: the labels that the target writes without le, quantile and those
// of max_over, before those of the instance are added. Hashes don't regard letter case: Dynamo writes models in small letters.
type quantity struct {
	names  uint64 // a hash of the labels' names
	labels uint64 // a hash of the labels
	ids    [len(identifying)]uint32
}

func (s *labelTemplates) quantityOf(labels []exposition.Label) quantity {
	var q quantity
	for _, l := range labels {
		name := string(l.Name)
		if len(l.Value) == 0 || name == labelLE || name == labelQuantile {
			continue
		}
		h := s.hash(exposition.Label{Name: l.Name, Value: lower(canonicalValue(l.Value))})
		q.names += s.hash(exposition.Label{Name: l.Name})
		q.labels += h
		if i := slices.Index(identifying[:], name); i >= 0 {
			q.ids[i] = shorten(h)
		}
	}
	return q
}

// lower returns a value in small letters, without a copy if it is.
func lower(value []byte) []byte {
	for _, c := range value {
		if 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf {
			return bytes.ToLower(value)
		}
	}
	return value
}

// A lineRun is consecutive lines with the same label template.
type lineRun struct {
	labels *labelTemplate
	start  int
}

// nativeMetrics is what a unified metric needs to know that several native metrics of the mapping feed.
type nativeMetrics struct {
	runs    []lineRun // of the lines in the buffer
	written hashSet   // the quantities of these lines, and those of sums
	last    *labelTemplate
	// others are the buffers of further native metrics of the page, of which the first used ones have samples.
	others []*lineBuffer
	used   int
	// kept says that one of others kept a sample.
	kept bool
	// parts are the numbers of samples by rank, if kept.
	parts []nativePart
	// Of the native metric: it is used only where no other is, and only where the page shows the metrics with these bits.
	fallback bool
	shownBy  uint64
}

type nativePart struct{ rank, samples int }

func (c *nativeMetrics) clear() {
	clear(c.runs)
	c.runs, c.last = c.runs[:0], nil
	clear(c.written)
	for _, b := range c.others[:c.used] {
		b.clear()
	}
	c.used = 0
}

// buffer returns the buffer for an output's samples, of which b holds those of the first native metric on the page.
func (b *lineBuffer) buffer(o *output) *lineBuffer {
	c := &b.natives
	if b.rank == o.rank && b.samples > 0 || b.samples == 0 && c.used == 0 {
		return b
	}
	for _, other := range c.others[:c.used] {
		if other.rank == o.rank && other.samples > 0 {
			return other
		}
	}
	for _, other := range c.others[:c.used] {
		if other.samples == 0 {
			return other
		}
	}
	if c.used == len(c.others) {
		c.others = append(c.others, new(lineBuffer))
	}
	c.used++
	return c.others[c.used-1]
}

// isOutranked reports whether a sample of the output has certainly lost to samples that are in the buffer.
func (b *lineBuffer) isOutranked(o *output, lt *labelTemplate) bool {
	return b.samples > 0 && b.rank < o.rank && b.natives.shownBy == 0 && (o.fallback || b.natives.written.has(lt.quantity.labels))
}

// note remembers that the line that begins at start, or a sum, has these labels.
func (c *nativeMetrics) note(lt *labelTemplate, start int, sum bool) {
	if lt == c.last {
		return
	}
	c.last = lt
	c.written.add(lt.quantity.labels)
	if !sum {
		c.runs = append(c.runs, lineRun{lt, start})
	}
}

// mergeNatives decides which samples of a unified metric stay, and puts them into b.
func (r *Result) mergeNatives(b *lineBuffer) {
	c := &b.natives
	c.kept, c.parts = false, c.parts[:0]
	if c.used == 0 {
		if b.samples > 0 && !r.counts(b) {
			r.discard(b)
		}
		return
	}
	for i := range c.used { // the best one into b
		if other := c.others[i]; !r.counts(b) || r.counts(other) && other.rank < b.rank {
			b.swap(other)
		}
	}
	others := c.others[:c.used]
	slices.SortFunc(others, func(x, y *lineBuffer) int { return cmp.Compare(x.rank, y.rank) })
	r.keptQuantities.clear()
	r.keptQuantities.addAll(b)
	part := nativePart{b.rank, b.samples}
	r.valueText = b.writeSums(r.valueText)
	for _, other := range others {
		if !r.counts(other) || other.natives.fallback {
			r.discard(other)
			continue
		}
		r.drop(other)
		if other.samples == 0 {
			continue
		}
		if !c.kept {
			c.kept = true
			c.parts = append(c.parts, part)
		}
		c.parts = append(c.parts, nativePart{other.rank, other.samples})
		r.keptQuantities.addAll(other)
		r.valueText = other.writeSums(r.valueText)
		b.text = append(b.text, other.text...)
		b.samples += other.samples
		b.lastLabels = nil
	}
	for _, other := range others {
		other.clear()
	}
	c.used = 0
	if !r.counts(b) {
		r.discard(b)
	}
}

// discardOutranked discards samples of native metrics that come later in the mapping, so that memory is free for a sample of the output.
// It returns the buffer for that sample.
func (r *Result) discardOutranked(first *lineBuffer, o *output) *lineBuffer {
	if b := first.buffer(o); b != first && first.rank > o.rank {
		first.swap(b)
		first.rank = o.rank
	}
	c := &first.natives
	for _, other := range c.others[:c.used] {
		if other.samples > 0 && other.rank > o.rank {
			r.discard(other)
			r.dropRecording()
		}
	}
	return first.buffer(o)
}

// counts reports whether a buffer has samples that the page allows to use.
func (r *Result) counts(b *lineBuffer) bool {
	return b.samples > 0 && (b.natives.shownBy == 0 || b.natives.shownBy&r.shown != 0)
}

// discard empties a buffer.
func (r *Result) discard(b *lineBuffer) {
	r.memory.release(len(b.text) + b.reservedBytes + b.samples*seriesBytes)
	r.samples -= b.samples
	b.clear()
}

// drop removes the samples that may be about the same as a written one.
func (r *Result) drop(b *lineBuffer) {
	text, before := b.text[:0], b.samples
	runs := b.natives.runs
	for i, run := range runs {
		end := len(b.text)
		if i+1 < len(runs) {
			end = runs[i+1].start
		}
		lines := b.text[run.start:end]
		if r.keptQuantities.mayContain(&run.labels.quantity, run.labels.hash) {
			b.samples -= bytes.Count(lines, []byte{'\n'})
			runs[i].labels = nil
			continue
		}
		text = append(text, lines...)
	}
	b.text, b.lastLabels = text, nil
	b.natives.runs = slices.DeleteFunc(runs, func(run lineRun) bool { return run.labels == nil })
	for i := range b.sums {
		if s := &b.sums[i]; r.keptQuantities.mayContain(&s.labels.quantity, s.labels.hash) {
			s.name = ""
			b.samples--
		}
	}
	r.samples -= before - b.samples
	r.memory.release((before - b.samples) * seriesBytes)
}

// swap exchanges all of two buffers but what belongs to their unified metric.
func (b *lineBuffer) swap(other *lineBuffer) {
	*b, *other = *other, *b
	b.newSeries, other.newSeries = other.newSeries, b.newSeries
	c, o := &b.natives, &other.natives
	c.others, o.others = o.others, c.others
	c.used, o.used = o.used, c.used
	c.kept, o.kept = o.kept, c.kept
	c.parts, o.parts = o.parts, c.parts
}

// keptQuantities are those of samples that stay.
type keptQuantities struct {
	set      hashSet
	nameSets []uint64 // the different quantity.names
}

// maxNameSets bounds the different sets of label names. Beyond it all samples of further native metrics are dropped.
const maxNameSets = 32

func (c *keptQuantities) clear() {
	clear(c.set)
	c.nameSets = c.nameSets[:0]
}

func (c *keptQuantities) addAll(b *lineBuffer) {
	for _, run := range b.natives.runs {
		c.add(&run.labels.quantity, run.labels.hash)
	}
	for i := range b.sums {
		if s := &b.sums[i]; s.name != "" {
			c.add(&s.labels.quantity, s.labels.hash)
		}
	}
}

func (c *keptQuantities) add(s *quantity, output uint64) {
	if !slices.Contains(c.nameSets, s.names) && len(c.nameSets) <= maxNameSets {
		c.nameSets = append(c.nameSets, s.names)
	}
	c.set.add(s.labels)
	c.set.add(output ^ outputSalt)
	for i, id := range s.ids {
		if id != 0 {
			c.set.add(idKey(s.names, i, id))
			c.set.add(idKey(s.names, i, 0)) // the label is there
		}
	}
}

const outputSalt = 0xa5a5a5a5a5a5a5a5

// idKey is the element of a set that says that a set of label names has a value of an identifying label.
func idKey(names uint64, i int, id uint32) uint64 {
	return (names+uint64(i)+1)*0x9e3779b97f4a7c15 ^ uint64(id)*0xd6e8feb86659fd93
}

// mayContain reports whether a sample may be about the same as one that stays. With the same names of labels it is about something else
// if a value differs. With other names it is, if all that stay have another value of an identifying label.
func (c *keptQuantities) mayContain(s *quantity, output uint64) bool {
	if c.set.has(s.labels) || c.set.has(output^outputSalt) || len(c.nameSets) > maxNameSets {
		return true
	}
	for _, names := range c.nameSets {
		if names == s.names {
			continue
		}
		apart := false
		for i, id := range s.ids {
			apart = apart || id != 0 && c.set.has(idKey(names, i, 0)) && !c.set.has(idKey(names, i, id))
		}
		if !apart {
			return true
		}
	}
	return false
}

// A hashSet is a set of hashes.
type hashSet map[uint64]struct{}

func (s hashSet) has(hash uint64) bool {
	_, ok := s[hash]
	return ok
}

func (s *hashSet) add(hash uint64) {
	if *s == nil {
		*s = hashSet{}
	}
	(*s)[hash] = struct{}{}
}
