package translate

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// Difference says how the unified series of a page differ under two mappings. The counts are exact, the lists are bounded.
type Difference struct {
	Added, Removed, Changed int
	// Families are those with a difference, by name.
	Families []FamilyDifference
	// Series are the first ones that differ, sorted.
	Series []SeriesDifference
}

// FamilyDifference is the difference of one unified metric.
type FamilyDifference struct {
	Name                    string // as on the page
	Added, Removed, Changed int    // series
	// Type and help if they differ and both mappings give samples; else empty.
	TypeBefore, TypeAfter string
	HelpBefore, HelpAfter string
}

// SeriesDifference is a series that is added, removed or changes its value.
type SeriesDifference struct {
	Series        string // name and labels, as on the page
	Before, After string // its values; "": there is none
}

// ListLimits bound the list of series of a Difference.
type ListLimits struct{ Series, Bytes int }

// A sampleLine is a line of a result.
type sampleLine struct {
	all    []byte // name, labels, a space and the value
	at     int32  // of the space
	family int32  // index into comparison.names
	hash   uint64 // see seriesHash
}

func (l sampleLine) series() []byte { return l.all[:l.at] }

func (l sampleLine) value() []byte { return l.all[l.at+1:] }

// Compare compares two translations of one page. Two series are the same if they have the same name and the same set of labels,
// two values if they are the same number.
func Compare(before, after *Result, limits ListLimits) Difference {
	c := comparison{limits: limits, families: map[string]*FamilyDifference{}, seed: maphash.MakeSeed()}
	familiesBefore, familiesAfter := before.familiesByName(), after.familiesByName()
	var removed, added []sampleLine
	for name, i := range familiesBefore {
		j, both := familiesAfter[name]
		if both {
			c.compareDeclarations(&before.families[i], &after.families[j])
			if bytes.Equal(before.buffers[i].text, after.buffers[j].text) {
				delete(familiesAfter, name)
				continue
			}
		}
		removed = c.appendLines(removed, name, before.buffers[i].text)
	}
	for name, j := range familiesAfter {
		added = c.appendLines(added, name, after.buffers[j].text)
	}
	removed, added = c.pair(removed, added, func(a, b sampleLine) int { return bytes.Compare(a.series(), b.series()) })
	for _, lines := range [][]sampleLine{removed, added} {
		for i := range lines {
			lines[i].hash = seriesHash(c.seed, lines[i].series())
		}
	}
	removed, added = c.pair(removed, added, func(a, b sampleLine) int {
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return bytes.Compare(sortLabels(a.series()), sortLabels(b.series()))
	})
	c.pairs = slices.Grow(c.pairs, len(removed)+len(added))
	for i := range removed {
		c.family(&removed[i]).Removed++
		c.difference.Removed++
		c.pairs = append(c.pairs, seriesPair{before: removed[i]})
	}
	for i := range added {
		c.family(&added[i]).Added++
		c.difference.Added++
		c.pairs = append(c.pairs, seriesPair{after: added[i]})
	}
	return c.finish()
}

// familiesByName returns the indexes of the metrics with samples.
func (r *Result) familiesByName() map[string]int {
	families := map[string]int{}
	for i := range r.families {
		if r.Feeds(i) {
			families[r.families[i].WireName] = i
		}
	}
	return families
}

type comparison struct {
	limits     ListLimits
	seed       maphash.Seed
	names      []string // of families
	families   map[string]*FamilyDifference
	pairs      []seriesPair
	difference Difference
}

// A seriesPair is a series on both sides. A side that does not have it is empty.
type seriesPair struct{ before, after sampleLine }

func (c *comparison) appendLines(list []sampleLine, family string, page []byte) []sampleLine {
	c.names = append(c.names, family)
	list = slices.Grow(list, bytes.Count(page, []byte{'\n'}))
	for text := range bytes.Lines(page) {
		text = bytes.TrimSuffix(text, []byte{'\n'})
		list = append(list, sampleLine{all: text, at: int32(bytes.LastIndexByte(text, ' ')), family: int32(len(c.names) - 1)})
	}
	return list
}

func (c *comparison) family(l *sampleLine) *FamilyDifference { return c.familyNamed(c.names[l.family]) }

func (c *comparison) familyNamed(name string) *FamilyDifference {
	f, ok := c.families[name]
	if !ok {
		f = &FamilyDifference{Name: name}
		c.families[name] = f
	}
	return f
}

func (c *comparison) compareDeclarations(before, after *mapping.Family) {
	if before.Type != after.Type {
		f := c.familyNamed(after.WireName)
		f.TypeBefore, f.TypeAfter = string(before.Type), string(after.Type)
	}
	if before.Help != after.Help {
		f := c.familyNamed(after.WireName)
		f.HelpBefore, f.HelpAfter = before.Help, after.Help
	}
}

// pair removes the series that both sides have, and notes those whose values differ.
func (c *comparison) pair(before, after []sampleLine, order func(a, b sampleLine) int) (onlyBefore, onlyAfter []sampleLine) {
	slices.SortFunc(before, order)
	slices.SortFunc(after, order)
	onlyBefore, onlyAfter = before[:0], after[:0]
	i, j := 0, 0
	for i < len(before) && j < len(after) {
		switch n := order(before[i], after[j]); {
		case n < 0:
			onlyBefore = append(onlyBefore, before[i])
			i++
		case n > 0:
			onlyAfter = append(onlyAfter, after[j])
			j++
		default:
			if !sameValue(before[i].value(), after[j].value()) {
				c.family(&after[j]).Changed++
				c.difference.Changed++
				c.pairs = append(c.pairs, seriesPair{before[i], after[j]})
			}
			i++
			j++
		}
	}
	return append(onlyBefore, before[i:]...), append(onlyAfter, after[j:]...)
}

// sameValue compares numbers: 3 and 3.0 are the same, and so are two NaN.
func sameValue(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, okX := exposition.ParseNumber(a)
	y, okY := exposition.ParseNumber(b)
	return okX && okY && cmp.Compare(x, y) == 0
}

// eachLabel calls take with each label of a series, as it is written, and returns the name of the series.
func eachLabel(series []byte, take func(label []byte)) (name []byte) {
	open := bytes.IndexByte(series, '{')
	if open < 0 {
		return series
	}
	start, quoted := open+1, false
	for i := start; i < len(series); i++ {
		switch {
		case quoted && series[i] == '\\':
			i++
		case series[i] == '"':
			quoted = !quoted
		case !quoted && (series[i] == ',' || series[i] == '}'):
			take(series[start:i])
			start = i + 1
		}
	}
	return series[:open]
}

// seriesHash returns a hash that does not depend on the order of the labels.
func seriesHash(seed maphash.Seed, series []byte) uint64 {
	sum := uint64(0)
	name := eachLabel(series, func(label []byte) { sum += maphash.Bytes(seed, label) })
	return sum ^ maphash.Bytes(seed, name)
}

// sortLabels returns a series with its labels in the order of their names.
func sortLabels(series []byte) []byte {
	var labels [][]byte
	name := eachLabel(series, func(label []byte) { labels = append(labels, label) })
	slices.SortFunc(labels, bytes.Compare)
	return append(append(bytes.Clone(name), '{'), bytes.Join(labels, []byte{','})...)
}

// finish sorts the differences and copies as many as the limits allow.
func (c *comparison) finish() Difference {
	d := c.difference
	for _, f := range c.families {
		d.Families = append(d.Families, *f)
	}
	slices.SortFunc(d.Families, func(a, b FamilyDifference) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.pairs, func(a, b seriesPair) int { return bytes.Compare(a.series(), b.series()) })
	left := c.limits.Bytes
	for i := range c.pairs {
		s := &c.pairs[i]
		if left -= len(s.series()); len(d.Series) >= c.limits.Series || left < 0 {
			break
		}
		listed := SeriesDifference{Series: string(s.series())}
		if s.before.all != nil {
			listed.Before = string(s.before.value())
		}
		if s.after.all != nil {
			listed.After = string(s.after.value())
		}
		d.Series = append(d.Series, listed)
	}
	return d
}

func (d seriesPair) series() []byte {
	if d.after.all != nil {
		return d.after.series()
	}
	return d.before.series()
}
