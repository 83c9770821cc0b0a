package translate

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/exposition"
)

// LeftOut is what of a family was left out of a page because its series were new and its share of them was used up.
type LeftOut struct {
	Family  string
	Samples int
	// Label is the label that has the most values in those series, Example one of the values. A family that is itself one of
	// too many is told by LabelName.
	Label, Example string
}

// Bounds of a LeftOut.
const (
	maxLeftOutSeries = 64
	maxLeftOutText   = 64
	// labelName is the label that stands for the name of a series.
	labelName = "__name__"
)

// churn is the values of labels in the first series of a page that were left out.
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

// note looks at a line that was left out. labels says that it was for its labels, not for its bound.
func (b *pageUsage) noteLeftOut(sh *labelTemplate, le []byte, src *Source) {
	c := b.labelsLeftOut
	if c == nil {
		c = &leftOutLabels{seed: maphash.MakeSeed()}
		b.labelsLeftOut = c
	}
	if c.series == maxLeftOutSeries || !b.admitted && c.last == sh {
		return
	}
	c.series++
	c.last = sh
	if b.admitted {
		if sh.hasQuantile {
			c.labelsOf(sh, le, func(name string) bool { return name == labelQuantile })
		} else {
			c.add(labelLE, string(le))
		}
		return
	}
	c.labelsOf(sh, le, func(name string) bool {
		return !src.has(name) && (name != labelLE || sh.badLE) && (name != labelQuantile || sh.badQuantile)
	})
}

// labelsOf adds those labels of a shape's output that are wanted.
func (c *leftOutLabels) labelsOf(sh *labelTemplate, le []byte, wanted func(name string) bool) {
	c.text = append(append(c.text[:0], 'm'), sh.head...)
	if len(sh.after) > 0 {
		c.text = append(append(c.text, le...), sh.tail...)
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

// most returns the label with the most values and the last of these.
func (c *leftOutLabels) mostValues() (label, example string) {
	if len(c.labels) == 0 {
		return "", ""
	}
	l := slices.MaxFunc(c.labels, func(a, b leftOutLabel) int { return cmp.Compare(len(a.values), len(b.values)) })
	return clipText(l.name), l.example
}

// clipText makes foreign text fit for a log line or a label.
func clipText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > maxLeftOutText {
		s = strings.ToValidUTF8(s[:maxLeftOutText], "") + "..."
	}
	return s
}

// leftOut appends what was left out of a family, if anything was.
func (g *SeriesLimiter) leftOut(list []LeftOut, b *pageUsage, family string) []LeftOut {
	if b.leftOut == 0 {
		return list
	}
	l := LeftOut{Family: clipText(family), Samples: b.leftOut}
	if b.usage == &g.overflow {
		l.Label, l.Example = labelName, l.Family
		l.Family = ""
	} else if b.labelsLeftOut != nil {
		l.Label, l.Example = b.labelsLeftOut.mostValues()
	}
	return append(list, l)
}
