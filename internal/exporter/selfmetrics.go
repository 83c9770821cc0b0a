package exporter

import (
	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

// pageErrors counts what was wrong with an engine's pages since the worker started.
type pageErrors struct {
	parseErrors, duplicates, typeConflicts, invalidHistograms, overLimit, overMemory uint64
}

func (e *pageErrors) add(stats translate.Stats) {
	e.parseErrors += uint64(stats.ParseErrors)
	e.duplicates += uint64(stats.Duplicates)
	e.typeConflicts += uint64(stats.TypeConflicts)
	e.invalidHistograms += uint64(stats.InvalidHistograms)
	e.overLimit += uint64(stats.OverLimit)
	e.overMemory += uint64(stats.OverMemory)
}

func (o *outcome) errors() pageErrors {
	o.state.mu.Lock()
	defer o.state.mu.Unlock()
	return o.state.errors
}

// Values of label reason of RuntimeDropped.
var (
	seriesLimit = exposition.RenderLabels("reason", "series_limit")
	memoryLimit = exposition.RenderLabels("reason", "memory")
)

// writeSelfMetrics writes the metrics about this scrape: its engines, their pages, the collectors and the worker's version.
func writeSelfMetrics(w *exposition.Writer, worker exposition.Labels, outcomes []outcome, statuses []collectorStatus, generation int64) {
	writeEngines(w, outcomes)
	writePages(w, outcomes)
	collector := func(m catalog.Metric, value func(s *collectorStatus) float64) {
		if len(statuses) > 0 {
			w.Family(m.WireName(), string(m.Type), m.Help)
		}
		for i := range statuses {
			w.Sample(m.WireName(), value(&statuses[i]), worker, statuses[i].labels)
		}
	}
	collector(catalog.CollectorSuccess, func(s *collectorStatus) float64 { return boolean(s.err == nil) })
	collector(catalog.CollectorDuration, func(s *collectorStatus) float64 { return s.took.Seconds() })
	single := func(m catalog.Metric, value float64, labels exposition.Labels) {
		w.Family(m.WireName(), string(m.Type), m.Help)
		w.Sample(m.WireName(), value, labels)
	}
	single(catalog.MetricsConfigApplied, float64(generation), worker)
	b := buildinfo.Get()
	single(catalog.BuildInfo, 1, exposition.RenderLabels("version", b.Version, "revision", b.Revision, "goversion", b.GoVersion))
}

// writeEngines writes the metrics that every engine has, whether its page came or not.
func writeEngines(w *exposition.Writer, outcomes []outcome) {
	family := func(m catalog.Metric, value func(o *outcome) float64) {
		name := m.WireName()
		if len(outcomes) > 0 {
			w.Family(name, string(m.Type), m.Help)
		}
		for i := range outcomes {
			w.Sample(name, value(&outcomes[i]), outcomes[i].labels)
		}
	}
	family(catalog.RuntimeScrapeSuccess, func(o *outcome) float64 { return boolean(o.result != nil) })
	family(catalog.RuntimeScrapeDuration, func(o *outcome) float64 { return o.took.Seconds() })
	family(catalog.RuntimeParseErrors, func(o *outcome) float64 { return float64(o.errors().parseErrors) })
	family(catalog.RuntimeDuplicates, func(o *outcome) float64 { return float64(o.errors().duplicates) })
}

// writePages writes the metrics of engines whose page came. A negative value is left out.
func writePages(w *exposition.Writer, outcomes []outcome) {
	family := func(m catalog.Metric, value func(o *outcome) (float64, exposition.Labels)) {
		name, begun := m.WireName(), false
		for i := range outcomes {
			o := &outcomes[i]
			if o.result == nil {
				continue
			}
			v, labels := value(o)
			if v < 0 {
				continue
			}
			if !begun {
				w.Family(name, string(m.Type), m.Help)
				begun = true
			}
			w.Sample(name, v, o.labels, labels)
		}
	}
	family(catalog.RuntimeCoverage, func(o *outcome) (float64, exposition.Labels) {
		if o.countable == 0 {
			return -1, ""
		}
		return float64(o.fed) / float64(o.countable), o.version
	})
	family(catalog.RuntimeUnmapped, func(o *outcome) (float64, exposition.Labels) { return float64(o.stats.UnmappedFamilies), "" })
	family(catalog.RuntimeSeries, func(o *outcome) (float64, exposition.Labels) { return float64(o.stats.Samples), "" })
	family(catalog.RuntimeTypeConflicts, func(o *outcome) (float64, exposition.Labels) { return float64(o.errors().typeConflicts), "" })
	family(catalog.RuntimeHistograms, func(o *outcome) (float64, exposition.Labels) { return float64(o.errors().invalidHistograms), "" })
	family(catalog.InstanceImbalance, func(o *outcome) (float64, exposition.Labels) { return imbalance(o), "" })
	writeUnselected(w, outcomes)
	family(catalog.RuntimeModelsFolded, func(o *outcome) (float64, exposition.Labels) {
		if models := o.fetch.instance.Models; models != nil {
			return float64(models.Folded), ""
		}
		return -1, ""
	})
	writeDropped(w, outcomes)
	writeDroppedSeries(w, outcomes)
	users := func(m catalog.Metric, count func(kept, folded int) int) {
		family(m, func(o *outcome) (float64, exposition.Labels) {
			kept, folded := o.state.users.Counts()
			if kept+folded == 0 && !o.fetch.instance.Gateway {
				return -1, ""
			}
			return float64(count(kept, folded)), ""
		})
	}
	users(catalog.GatewayUsers, func(kept, _ int) int { return kept })
	users(catalog.GatewayUsersFolded, func(_, folded int) int { return folded })
}

// writeDropped writes how many samples exceeded a limit.
func writeDropped(w *exposition.Writer, outcomes []outcome) {
	m, begun := catalog.RuntimeDropped, false
	for i := range outcomes {
		o := &outcomes[i]
		if o.result == nil {
			continue
		}
		if !begun {
			w.Family(m.WireName(), string(m.Type), m.Help)
			begun = true
		}
		errors := o.errors()
		w.Sample(m.WireName(), float64(errors.overLimit), o.labels, seriesLimit)
		w.Sample(m.WireName(), float64(errors.overMemory), o.labels, memoryLimit)
	}
}

// writeUnselected writes how many samples no target of the mapping takes.
func writeUnselected(w *exposition.Writer, outcomes []outcome) {
	m, begun := catalog.RuntimeUnselected, false
	for i := range outcomes {
		o := &outcomes[i]
		if o.result == nil {
			continue
		}
		for _, u := range o.result.Unselected() {
			if !begun {
				w.Family(m.WireName(), string(m.Type), m.Help)
				begun = true
			}
			w.Sample(m.WireName(), float64(u.Samples), o.labels, exposition.RenderLabels("family", u.Family, "reason", u.Reason))
		}
	}
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
