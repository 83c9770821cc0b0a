package translate

import (
	"bytes"
	"cmp"
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
type line struct {
	key    []byte // what tells the series from others: its text or, when texts differ, the text with its labels sorted
	text   []byte // name and labels
	value  []byte
	family string
}

// Compare compares two translations of one page. Two series are the same if they have the same name and labels, in whatever
// order; two values if they are the same number.
func Compare(before, after *Result, limits ListLimits) Difference {
	c := comparison{limits: limits, families: map[string]*FamilyDifference{}}
	was, is := before.present(), after.present()
	var old, fresh []line
	for name, i := range was {
		j, both := is[name]
		if both {
			c.declarations(&before.families[i], &after.families[j])
			if bytes.Equal(before.blocks[i].buf, after.blocks[j].buf) {
				delete(is, name)
				continue
			}
		}
		old = appendLines(old, name, before.blocks[i].buf)
	}
	for name, j := range is {
		fresh = appendLines(fresh, name, after.blocks[j].buf)
	}
	old, fresh = c.pair(old, fresh)
	for _, lines := range [][]line{old, fresh} {
		for i := range lines {
			lines[i].key = sortLabels(lines[i].text)
		}
	}
	old, fresh = c.pair(old, fresh)
	for i := range old {
		c.family(old[i].family).Removed++
		c.difference.Removed++
		c.differing = append(c.differing, differing{was: &old[i]})
	}
	for i := range fresh {
		c.family(fresh[i].family).Added++
		c.difference.Added++
		c.differing = append(c.differing, differing{is: &fresh[i]})
	}
	return c.finish()
}

// present returns the families with samples by the name that they have on the page.
func (r *Result) present() map[string]int {
	families := map[string]int{}
	for i := range r.families {
		if r.Feeds(i) {
			families[r.families[i].WireName] = i
		}
	}
	return families
}

func appendLines(list []line, family string, page []byte) []line {
	for text := range bytes.Lines(page) {
		text = bytes.TrimSuffix(text, []byte{'\n'})
		at := bytes.LastIndexByte(text, ' ')
		list = append(list, line{key: text[:at], text: text[:at], value: text[at+1:], family: family})
	}
	return list
}

type comparison struct {
	limits     ListLimits
	families   map[string]*FamilyDifference
	differing  []differing
	difference Difference
}

// differing is a series on both sides, or on one.
type differing struct{ was, is *line }

func (c *comparison) family(name string) *FamilyDifference {
	f, ok := c.families[name]
	if !ok {
		f = &FamilyDifference{Name: name}
		c.families[name] = f
	}
	return f
}

func (c *comparison) declarations(was, is *mapping.Family) {
	if was.Type != is.Type {
		f := c.family(is.WireName)
		f.TypeBefore, f.TypeAfter = string(was.Type), string(is.Type)
	}
	if was.Help != is.Help {
		f := c.family(is.WireName)
		f.HelpBefore, f.HelpAfter = was.Help, is.Help
	}
}

// pair takes the series that both sides have out of them and notes those whose values differ.
func (c *comparison) pair(old, fresh []line) (onlyOld, onlyFresh []line) {
	byKey := func(a, b line) int { return bytes.Compare(a.key, b.key) }
	slices.SortFunc(old, byKey)
	slices.SortFunc(fresh, byKey)
	i, j := 0, 0
	for i < len(old) && j < len(fresh) {
		switch order := bytes.Compare(old[i].key, fresh[j].key); {
		case order < 0:
			onlyOld = append(onlyOld, old[i])
			i++
		case order > 0:
			onlyFresh = append(onlyFresh, fresh[j])
			j++
		default:
			if !sameValue(old[i].value, fresh[j].value) {
				c.family(fresh[j].family).Changed++
				c.difference.Changed++
				c.differing = append(c.differing, differing{&old[i], &fresh[j]})
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

// sortLabels returns a series' text with its labels in the order of their names.
func sortLabels(text []byte) []byte {
	open := bytes.IndexByte(text, '{')
	if open < 0 {
		return text
	}
	var labels [][]byte
	start, quoted := open+1, false
	for i := start; i < len(text); i++ {
		switch {
		case quoted && text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case !quoted && (text[i] == ',' || text[i] == '}'):
			labels = append(labels, text[start:i])
			start = i + 1
		}
	}
	slices.SortFunc(labels, bytes.Compare)
	return append(append(bytes.Clone(text[:open+1]), bytes.Join(labels, []byte{','})...), '}')
}

// finish sorts what differs and copies it as far as the limits go.
func (c *comparison) finish() Difference {
	d := c.difference
	for _, f := range c.families {
		d.Families = append(d.Families, *f)
	}
	slices.SortFunc(d.Families, func(a, b FamilyDifference) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.differing, func(a, b differing) int { return bytes.Compare(a.text(), b.text()) })
	room := c.limits.Bytes
	for _, s := range c.differing {
		if len(d.Series) >= c.limits.Series {
			break
		}
		if room -= len(s.text()); room < 0 {
			break
		}
		listed := SeriesDifference{Series: string(s.text())}
		if s.was != nil {
			listed.Before = string(s.was.value)
		}
		if s.is != nil {
			listed.After = string(s.is.value)
		}
		d.Series = append(d.Series, listed)
	}
	return d
}

func (d differing) text() []byte {
	if d.is != nil {
		return d.is.text
	}
	return d.was.text
}
