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

// maxDroppedMetrics bounds how many of an engine's metrics have a drop counter of their own. The others share one.
const maxDroppedMetrics = 16

// otherMetrics is the metric name of the shared counter.
const otherMetrics = "other"

// droppedSeries counts the samples of an engine that were dropped because the limit of new series was reached.
type droppedSeries struct {
	list  []droppedMetric
	total uint64
}

type droppedMetric struct {
	family, label string
	samples       uint64
	labels        exposition.Labels
	warned        uint32 // the window of the last warning
}

// counter returns the counter of l's metric. It keeps the label that was blamed first, so that the counter stays one series.
func (d *droppedSeries) counter(l translate.LeftOut) *droppedMetric {
	i := slices.IndexFunc(d.list, func(m droppedMetric) bool { return m.family == l.Family })
	if i < 0 && len(d.list) >= maxDroppedMetrics || l.Family == "" {
		l.Family, l.Label = otherMetrics, ""
		i = slices.IndexFunc(d.list, func(m droppedMetric) bool { return m.family == otherMetrics })
	}
	if i < 0 {
		i = len(d.list)
		labels := exposition.RenderLabels("family", l.Family, "label", l.Label)
		d.list = append(d.list, droppedMetric{family: l.Family, label: l.Label, labels: labels})
	}
	return &d.list[i]
}

// newSeriesLimiter returns the limiter of the engine's new series, of the unified or of the native ones; nil: no limit. A gateway may
// bring two pages of new series at once: most are users, which have a limit of their own.
func (t *engineState) newSeriesLimiter(native, gateway bool) *translate.SeriesLimiter {
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
	l := &t.unifiedLimiter
	if native {
		l = &t.nativeLimiter
	}
	if *l == nil {
		*l = translate.NewSeriesLimiter(limit, page)
	}
	(*l).SetLimit(limit) // the instance may have turned out to be a gateway
	return *l
}

// countDropped counts the new series that a page lost, and warns once an hour for each metric.
func (e *Exporter) countDropped(t *engineState, dropped []translate.LeftOut, limiter *translate.SeriesLimiter) {
	if len(dropped) == 0 {
		return
	}
	usage := limiter.Usage()
	var warn []translate.LeftOut
	t.mu.Lock()
	for _, l := range dropped {
		m := t.dropped.counter(l)
		m.samples += uint64(l.Samples)
		t.dropped.total += uint64(l.Samples)
		if m.warned != usage.Window {
			m.warned = usage.Window
			warn = append(warn, l)
		}
	}
	t.mu.Unlock()
	for _, l := range warn {
		e.logger.Warn("new series of an engine are left out: it has reached its limit of new series in this hour; series that exist go on. "+
			"Make the engine drop the label, drop it in the mapping, or raise --max-new-series-per-engine",
			"instance", t.engine.Instance().Name, "family", cmp.Or(l.Family, otherMetrics), "label", l.Label, "example", l.Example,
			"left_out", l.Samples, "new_series", usage.Used, "limit", usage.Limit, "until", usage.Left.Round(time.Second))
	}
}

// writeDroppedSeries writes the counters of dropped new series.
func writeDroppedSeries(w *exposition.Writer, outcomes []outcome) {
	m := catalog.RuntimeNewLeftOut
	begun := false
	for i := range outcomes {
		t := outcomes[i].state
		t.mu.Lock()
		list := slices.Clone(t.dropped.list)
		t.mu.Unlock()
		slices.SortFunc(list, func(a, b droppedMetric) int { return strings.Compare(a.family, b.family) })
		for _, d := range list {
			if !begun {
				w.Family(m.WireName(), string(m.Type), m.Help)
				begun = true
			}
			w.Sample(m.WireName(), float64(d.samples), outcomes[i].labels, d.labels)
		}
	}
}
