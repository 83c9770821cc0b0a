package translate

import (
	"math"
	"slices"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// applyChange returns the labels that a target makes of native ones, and notes in the template what it does to samples.
func (lt *labelTemplate) applyChange(c *mapping.Change, native []exposition.Label) []exposition.Label {
	for i := range c.Match {
		if !matches(&c.Match[i], native) {
			lt.skip, lt.skipped = true, skippedByMatch
			return nil
		}
	}
	if len(c.ValueFrom) > 0 {
		value, ok := product(c.ValueFrom, native)
		if !ok {
			lt.skip, lt.skipped = true, skippedByValueFrom
			return nil
		}
		lt.fixedValue = exposition.AppendValue(nil, scaled(value, c.Scale))
	}
	lt.sum = c.Sum
	return changeLabels(c, native)
}

// changeLabels returns the labels that a target makes of native ones.
func changeLabels(c *mapping.Change, native []exposition.Label) []exposition.Label {
	labels := make([]exposition.Label, 0, len(native)+len(c.Add))
	for _, l := range native {
		name := string(l.Name)
		if name != labelLE && name != labelQuantile &&
			(c.Keep != nil && !slices.Contains(c.Keep, name) || slices.Contains(c.Drop, name) || slices.Contains(c.ValueFrom, name)) {
			continue
		}
		labels = append(labels, l)
	}
	for _, r := range c.Rename {
		at := slices.IndexFunc(labels, func(l exposition.Label) bool { return string(l.Name) == r.From && len(l.Value) > 0 })
		if at < 0 {
			continue
		}
		l := labels[at]
		labels = displace(slices.Delete(labels, at, at+1), r.To)
		labels = append(labels, exposition.Label{Name: []byte(r.To), Value: l.Value})
	}
	for _, a := range c.Add {
		labels = append(displace(labels, a.Name), exposition.Label{Name: []byte(a.Name), Value: exposition.AppendLabelValue(nil, a.Value)})
	}
	return labels
}

// displace frees the name of a label that the mapping sets: a native label of that name is renamed to exported_<name>.
func displace(labels []exposition.Label, name string) []exposition.Label {
	labels = slices.DeleteFunc(labels, func(l exposition.Label) bool { return string(l.Name) == name && len(l.Value) == 0 })
	at := slices.IndexFunc(labels, func(l exposition.Label) bool { return string(l.Name) == name })
	if at < 0 {
		return labels
	}
	moved := prefixExported + name
	for hasName(labels, moved) {
		moved = prefixExported + moved
	}
	labels[at].Name = []byte(moved)
	return slices.DeleteFunc(labels, func(l exposition.Label) bool { return string(l.Name) == moved && len(l.Value) == 0 })
}

func matches(m *mapping.Match, labels []exposition.Label) bool {
	value := labelValue(labels, m.Label)
	return slices.ContainsFunc(m.Values, func(want string) bool { return unescapesTo(value, want) }) != m.Not
}

// product multiplies the numbers that are the values of labels.
func product(names []string, labels []exposition.Label) (float64, bool) {
	result := 1.0
	for _, name := range names {
		v, ok := exposition.ParseNumber(labelValue(labels, name))
		if !ok {
			return 0, false
		}
		result *= v
	}
	return result, !math.IsNaN(result) && !math.IsInf(result, 0)
}

// scaled multiplies. It divides by 1000 instead of multiplying by 0.001, which has a rounding error of its own: 9 ms are 0.009 s
// and not 0.009000000000000001.
func scaled(v, scale float64) float64 {
	if inverse := math.Round(1 / scale); scale < 1 && 1/inverse == scale {
		return v / inverse
	}
	return v * scale
}

// appendScaled appends a scaled number. Infinities and NaN stay as they are spelled.
func appendScaled(dst, number []byte, scale float64) []byte {
	v, _ := exposition.ParseNumber(number)
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return append(dst, number...)
	}
	return exposition.AppendValue(dst, scaled(v, scale))
}

// ignored reports whether a value is one that the mapping ignores.
func ignored(values []float64, text []byte) bool {
	v, _ := exposition.ParseNumber(text)
	return slices.Contains(values, v)
}

// A sum adds up the samples of one series.
type sum struct {
	name     string
	labels   *labelTemplate
	boundEnd int // where its le ends in lineBuffer.bounds; it begins where that of the previous sum ends
	value    float64
	native   []byte // the value of the only sample, as the page spells it; nil if there are more or it was scaled
	groups   int32  // of replicas that were added
}

// maxValueBytes bounds the text of a float64.
const maxValueBytes = 24

// addToSum adds a sample to the sum of its series and reports whether it is the first one.
func (b *lineBuffer) addToSum(name string, k kind, lt *labelTemplate, le, value []byte, spelled bool, s *labelTemplates) (first bool) {
	v, _ := exposition.ParseNumber(value)
	i, first := b.sumOf(name, lt, le, s.lineSalt(name, k, le))
	sum := &b.sums[i]
	if !first {
		sum.value += v
		sum.native = nil
		b.merged++
		return false
	}
	sum.value = v
	if spelled {
		sum.native = value
	}
	return true
}

// lineSalt returns what the hash of a line has besides that of its labels.
func (s *labelTemplates) lineSalt(name string, k kind, le []byte) uint64 {
	if k == kindBucket {
		return nameSalt(name) + s.hash(exposition.Label{Name: nameLE, Value: le})
	}
	return nameSalt(name)
}

// sumOf returns the index of the sum of a series, and whether it is new.
func (b *lineBuffer) sumOf(name string, lt *labelTemplate, le []byte, salt uint64) (i int, first bool) {
	short := shorten(lt.hash + salt)
	t := &b.sumIndex
	t.grow()
	at := t.probe(short, t.start(short))
	for t.slots[at].hash != 0 {
		i := int(t.slots[at].line)
		if sum := &b.sums[i]; sum.name == name && sum.labels.hash == lt.hash && string(b.boundOf(i)) == string(le) {
			return i, false
		}
		at = t.probe(short, at+1)
	}
	t.set(at, short, len(b.sums))
	b.bounds = append(b.bounds, le...)
	b.sums = append(b.sums, sum{name: name, labels: lt, boundEnd: len(b.bounds)})
	b.samples++
	return len(b.sums) - 1, true
}

// boundOf returns the le of a sum.
func (b *lineBuffer) boundOf(i int) []byte {
	start := 0
	if i > 0 {
		start = b.sums[i-1].boundEnd
	}
	return b.bounds[start:b.sums[i].boundEnd]
}

// writeSums writes the sums in the order of their first samples.
func (b *lineBuffer) writeSums(scratch []byte) []byte {
	if len(b.sums) == 0 {
		return scratch
	}
	b.addGroups()
	for i := range b.sums {
		s := &b.sums[i]
		if s.name == "" {
			continue
		}
		value := s.native
		if value == nil {
			scratch = exposition.AppendValue(scratch[:0], s.value)
			value = scratch
		}
		le := b.boundOf(i)
		b.samples-- // write counts it
		b.write(s.labels.lineSize(s.name, le, value), s.name, s.labels, le, value)
	}
	clear(b.sums)
	b.sums, b.bounds = b.sums[:0], b.bounds[:0]
	b.sumIndex.clear()
	return scratch
}
