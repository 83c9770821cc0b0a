package exporter

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

// maxChurning bounds the families of an engine that are named as those that churn. The others are counted as one.
const maxChurning = 16

const otherFamilies = "other"

// churning is what was left out of an engine's pages because its series were new.
type churning struct {
	list  []churningFamily
	total uint64
}

type churningFamily struct {
	family, label string
	samples       uint64
	labels        exposition.Labels
	warned        uint32 // the window of the last warning
}

// at returns the family's place. The label that was found first stays, so that one family has one series.
func (c *churning) at(l translate.LeftOut) *churningFamily {
	i := slices.IndexFunc(c.list, func(f churningFamily) bool { return f.family == l.Family })
	if i < 0 && len(c.list) >= maxChurning || l.Family == "" {
		l.Family, l.Label = otherFamilies, ""
		i = slices.IndexFunc(c.list, func(f churningFamily) bool { return f.family == otherFamilies })
	}
	if i < 0 {
		i = len(c.list)
		labels := exposition.RenderLabels("family", l.Family, "label", l.Label)
		c.list = append(c.list, churningFamily{family: l.Family, label: l.Label, labels: labels})
	}
	return &c.list[i]
}

// growth returns the bound of the engine's new series, of those in the unified vocabulary or of its own; nil: there is none. A
// gateway has series of users, which are bounded in another way and may all come at once.
func (t *tracked) growth(native, gateway bool) *translate.SeriesLimiter {
	if t.newSeries == 0 {
		return nil
	}
	page := cmp.Or(t.maxSeries, translate.MaxSamples)
	limit := t.newSeries
	if gateway {
		limit = max(limit, 2*page)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := &t.unifiedGrowth
	if native {
		g = &t.nativeGrowth
	}
	if *g == nil {
		*g = translate.NewSeriesLimiter(limit, page)
	}
	(*g).SetLimit(limit) // which does not wait
	return *g
}

// countLeftOut adds up what was left out of a page, and says so once an hour for each family.
func (e *Exporter) countLeftOut(t *tracked, left []translate.LeftOut, g *translate.SeriesLimiter) {
	if len(left) == 0 {
		return
	}
	usage := g.Usage()
	var warn []translate.LeftOut
	t.mu.Lock()
	for _, l := range left {
		f := t.churning.at(l)
		f.samples += uint64(l.Samples)
		t.churning.total += uint64(l.Samples)
		if f.warned != usage.Window {
			f.warned = usage.Window
			warn = append(warn, l)
		}
	}
	t.mu.Unlock()
	for _, l := range warn {
		e.logger.Warn("new series of an engine are left out: it has had its share of them in this hour, and those that are known go on. "+
			"Make the engine leave the label out, drop it in the mapping, or raise --max-new-series-per-engine",
			"instance", t.engine.Instance().Name, "family", cmp.Or(l.Family, otherFamilies), "label", l.Label, "example", l.Example,
			"left_out", l.Samples, "new_series", usage.Used, "limit", usage.Limit, "until", usage.Left.Round(time.Second))
	}
}

// writeChurning writes how many samples were left out because their series were new, for each family.
func writeChurning(w *exposition.Writer, outcomes []outcome) {
	m := catalog.RuntimeNewLeftOut
	begun := false
	for i := range outcomes {
		t := outcomes[i].tracked
		t.mu.Lock()
		list := slices.Clone(t.churning.list)
		t.mu.Unlock()
		slices.SortFunc(list, func(a, b churningFamily) int { return strings.Compare(a.family, b.family) })
		for _, f := range list {
			if !begun {
				w.Family(m.WireName(), string(m.Type), m.Help)
				begun = true
			}
			w.Sample(m.WireName(), float64(f.samples), outcomes[i].labels, f.labels)
		}
	}
}
