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
	maxChurnSeries = 64
	maxChurnText   = 64
	// labelName is the label that stands for the name of a series.
	labelName = "__name__"
)

// churn is the values of labels in the first series of a page that were left out.
type churn struct {
	seed   maphash.Seed
	series int
	shape  *shape
	labels []churnLabel
	sample exposition.Sample
	text   []byte
}

type churnLabel struct {
	name    string
	values  []uint64 // hashes
	example string
}

// note looks at a line that was left out. labels says that it was for its labels, not for its bound.
func (b *growing) note(sh *shape, le []byte, src *Source) {
	c := b.churn
	if c == nil {
		c = &churn{seed: maphash.MakeSeed()}
		b.churn = c
	}
	if c.series == maxChurnSeries || !b.admitted && c.shape == sh {
		return
	}
	c.series++
	c.shape = sh
	if b.admitted {
		if sh.quantile {
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
func (c *churn) labelsOf(sh *shape, le []byte, wanted func(name string) bool) {
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

func (c *churn) add(name, value string) {
	i := slices.IndexFunc(c.labels, func(l churnLabel) bool { return l.name == name })
	if i < 0 {
		i = len(c.labels)
		c.labels = append(c.labels, churnLabel{name: name})
	}
	l, hash := &c.labels[i], maphash.String(c.seed, value)
	if !slices.Contains(l.values, hash) {
		l.values, l.example = append(l.values, hash), clipText(value)
	}
}

// most returns the label with the most values and the last of these.
func (c *churn) most() (label, example string) {
	if len(c.labels) == 0 {
		return "", ""
	}
	l := slices.MaxFunc(c.labels, func(a, b churnLabel) int { return cmp.Compare(len(a.values), len(b.values)) })
	return clipText(l.name), l.example
}

// clipText makes foreign text fit for a log line or a label.
func clipText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > maxChurnText {
		s = strings.ToValidUTF8(s[:maxChurnText], "") + "..."
	}
	return s
}

// leftOut appends what was left out of a family, if anything was.
func (g *SeriesLimiter) leftOut(list []LeftOut, b *growing, family string) []LeftOut {
	if b.left == 0 {
		return list
	}
	l := LeftOut{Family: clipText(family), Samples: b.left}
	if b.account == &g.crowd {
		l.Label, l.Example = labelName, l.Family
		l.Family = ""
	} else if b.churn != nil {
		l.Label, l.Example = b.churn.most()
	}
	return append(list, l)
}
