package translate

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/exposition"
)

// LeftOut says how much of a family the SeriesLimiter left out of a page.
type LeftOut struct {
	Family  string
	Samples int
	// Label is the label that has the most values in the series that were left out, Example one of its values. If the page has
	// too many families, Label is __name__ and Example the family.
	Label, Example string
}

// Bounds of a LeftOut.
const (
	maxLeftOutSeries = 64
	maxLeftOutText   = 64
	// labelName is the label that holds the name of a series.
	labelName = "__name__"
)

// leftOutLabels collects the label values of the first series that were left out of a page.
type leftOutLabels struct {
	seed   maphash.Seed
	series int
	last   *labelTemplate
	labels []leftOutLabel
	sample exposition.Sample
	text   []byte
}

type leftOutLabel struct {
	name    string
	values  []uint64 // hashes
	example string
}

// noteLeftOut notes the labels of a line that was left out: all of them, or le or quantile if its other labels were admitted.
func (u *pageUsage) noteLeftOut(lt *labelTemplate, le []byte, src *Source) {
	c := u.labelsLeftOut
	if c == nil {
		c = &leftOutLabels{seed: maphash.MakeSeed()}
		u.labelsLeftOut = c
	}
	if c.series == maxLeftOutSeries || !u.admitted && c.last == lt {
		return
	}
	c.series++
	c.last = lt
	if u.admitted {
		if lt.hasQuantile {
			c.labelsOf(lt, le, func(name string) bool { return name == labelQuantile })
		} else {
			c.add(labelLE, string(le))
		}
		return
	}
	c.labelsOf(lt, le, func(name string) bool {
		return !src.has(name) && (name != labelLE || lt.badLE) && (name != labelQuantile || lt.badQuantile)
	})
}

// labelsOf adds the output labels of a template that are wanted.
func (c *leftOutLabels) labelsOf(lt *labelTemplate, le []byte, wanted func(name string) bool) {
	c.text = append(append(c.text[:0], 'm'), lt.head...)
	if len(lt.after) > 0 {
		c.text = append(append(c.text, le...), lt.tail...)
	}
	c.text = append(c.text, '0')
	if c.sample.Parse(c.text) != nil {
		return
	}
	for _, l := range c.sample.Labels {
		if name := string(l.Name); wanted(name) {
			c.add(name, string(exposition.Unescape(nil, l.Value)))
		}
	}
}

func (c *leftOutLabels) add(name, value string) {
	i := slices.IndexFunc(c.labels, func(l leftOutLabel) bool { return l.name == name })
	if i < 0 {
		i = len(c.labels)
		c.labels = append(c.labels, leftOutLabel{name: name})
	}
	l, hash := &c.labels[i], maphash.String(c.seed, value)
	if !slices.Contains(l.values, hash) {
		l.values, l.example = append(l.values, hash), clipText(value)
	}
}

// mostValues returns the label with the most values and the last of its values.
func (c *leftOutLabels) mostValues() (label, example string) {
	if len(c.labels) == 0 {
		return "", ""
	}
	l := slices.MaxFunc(c.labels, func(a, b leftOutLabel) int { return cmp.Compare(len(a.values), len(b.values)) })
	return clipText(l.name), l.example
}

// clipText shortens an engine's text for a log line or a label value, and makes it valid UTF-8.
func clipText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > maxLeftOutText {
		s = strings.ToValidUTF8(s[:maxLeftOutText], "") + "..."
	}
	return s
}

// leftOut appends what was left out of a family, if anything was.
func (l *SeriesLimiter) leftOut(list []LeftOut, u *pageUsage, family string) []LeftOut {
	if u.leftOut == 0 {
		return list
	}
	entry := LeftOut{Family: clipText(family), Samples: u.leftOut}
	if u.usage == &l.overflow {
		entry.Label, entry.Example = labelName, entry.Family
		entry.Family = ""
	} else if u.labelsLeftOut != nil {
		entry.Label, entry.Example = u.labelsLeftOut.mostValues()
	}
	return append(list, entry)
}
