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

// Difference is how the unified series of a page differ under two mappings. The counts are exact, the lists may be cut.
type Difference struct {
	Added, Removed, Changed int
	// Families are those in which something differs, by name.
	Families []FamilyDifference
	// Series are the first ones that differ, sorted.
	Series []SeriesDifference
}

// FamilyDifference is what differs in a unified family.
type FamilyDifference struct {
	Name                    string // as on the page
	Added, Removed, Changed int    // series
	// Of a family that has samples under both mappings: type and help, where they differ. Else empty.
	TypeBefore, TypeAfter string
	HelpBefore, HelpAfter string
}

// SeriesDifference is a series that appears, vanishes or changes its value.
type SeriesDifference struct {
	Series        string // name and labels, as on the page
	Before, After string // its values; "": it is not there
}

// ListLimits bound the list of series of a Difference.
type ListLimits struct{ Series, Bytes int }

// line is a sample of a result.
type sampleLine struct {
	all    []byte // name, labels, a space and the value
	at     int32  // of the space
	family int32  // index into comparison.names
	hash   uint64 // of name and labels in whatever order; see seriesHash
}

func (l sampleLine) series() []byte { return l.all[:l.at] }

func (l sampleLine) value() []byte { return l.all[l.at+1:] }

// Compare compares two translations of one page. Two series are the same if they have the same name and labels, in whatever
// order; two values if they are the same number.
func Compare(before, after *Result, limits ListLimits) Difference {
	c := comparison{limits: limits, families: map[string]*FamilyDifference{}, seed: maphash.MakeSeed()}
	was, is := before.familiesByName(), after.familiesByName()
	var old, fresh []sampleLine
	for name, i := range was {
		j, both := is[name]
		if both {
			c.compareDeclarations(&before.families[i], &after.families[j])
			if bytes.Equal(before.buffers[i].text, after.buffers[j].text) {
				delete(is, name)
				continue
			}
		}
		old = c.appendLines(old, name, before.buffers[i].text)
	}
	for name, j := range is {
		fresh = c.appendLines(fresh, name, after.buffers[j].text)
	}
	old, fresh = c.pair(old, fresh, func(a, b sampleLine) int { return bytes.Compare(a.series(), b.series()) })
	for _, lines := range [][]sampleLine{old, fresh} {
		for i := range lines {
			lines[i].hash = seriesHash(c.seed, lines[i].series())
		}
	}
	old, fresh = c.pair(old, fresh, func(a, b sampleLine) int {
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return bytes.Compare(sortLabels(a.series()), sortLabels(b.series()))
	})
	c.pairs = slices.Grow(c.pairs, len(old)+len(fresh))
	for i := range old {
		c.family(&old[i]).Removed++
		c.difference.Removed++
		c.pairs = append(c.pairs, seriesPair{before: old[i]})
	}
	for i := range fresh {
		c.family(&fresh[i]).Added++
		c.difference.Added++
		c.pairs = append(c.pairs, seriesPair{after: fresh[i]})
	}
	return c.finish()
}

// present returns the families with samples by the name that they have on the page.
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

// differing is a series on both sides, or on one. The side on which it is not is empty.
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

func (c *comparison) compareDeclarations(was, is *mapping.Family) {
	if was.Type != is.Type {
		f := c.familyNamed(is.WireName)
		f.TypeBefore, f.TypeAfter = string(was.Type), string(is.Type)
	}
	if was.Help != is.Help {
		f := c.familyNamed(is.WireName)
		f.HelpBefore, f.HelpAfter = was.Help, is.Help
	}
}

// pair takes the series that both sides have out of them and notes those whose values differ.
func (c *comparison) pair(old, fresh []sampleLine, order func(a, b sampleLine) int) (onlyOld, onlyFresh []sampleLine) {
	slices.SortFunc(old, order)
	slices.SortFunc(fresh, order)
	onlyOld, onlyFresh = old[:0], fresh[:0]
	i, j := 0, 0
	for i < len(old) && j < len(fresh) {
		switch n := order(old[i], fresh[j]); {
		case n < 0:
			onlyOld = append(onlyOld, old[i])
			i++
		case n > 0:
			onlyFresh = append(onlyFresh, fresh[j])
			j++
		default:
			if !sameValue(old[i].value(), fresh[j].value()) {
				c.family(&fresh[j]).Changed++
				c.difference.Changed++
				c.pairs = append(c.pairs, seriesPair{old[i], fresh[j]})
			}
			i++
			j++
		}
	}
	return append(onlyOld, old[i:]...), append(onlyFresh, fresh[j:]...)
}

// sameValue compares as numbers: 3 and 3.0 are the same, and so are two NaN.
func sameValue(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, okX := exposition.ParseNumber(a)
	y, okY := exposition.ParseNumber(b)
	return okX && okY && cmp.Compare(x, y) == 0
}

// eachLabel calls take for each label of a series, as it is written, and returns what comes before them.
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

// seriesHash is the same for series that differ in the order of their labels alone.
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

// finish sorts what differs and copies it as far as the limits go.
func (c *comparison) finish() Difference {
	d := c.difference
	for _, f := range c.families {
		d.Families = append(d.Families, *f)
	}
	slices.SortFunc(d.Families, func(a, b FamilyDifference) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.pairs, func(a, b seriesPair) int { return bytes.Compare(a.series(), b.series()) })
	room := c.limits.Bytes
	for i := range c.pairs {
		s := &c.pairs[i]
		if room -= len(s.series()); len(d.Series) >= c.limits.Series || room < 0 {
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
