package exporter

import (
	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

// totals is what was wrong with all pages of an engine.
type totals struct {
	parseErrors, duplicates, typeConflicts, invalidHistograms, overLimit, overMemory uint64
}

func (t *totals) add(stats translate.Stats) {
	t.parseErrors += uint64(stats.ParseErrors)
	t.duplicates += uint64(stats.Duplicates)
	t.typeConflicts += uint64(stats.TypeConflicts)
	t.invalidHistograms += uint64(stats.InvalidHistograms)
	t.overLimit += uint64(stats.OverLimit)
	t.overMemory += uint64(stats.OverMemory)
}

func (o *outcome) totals() totals {
	o.tracked.mu.Lock()
	defer o.tracked.mu.Unlock()
	return o.tracked.totals
}

// The reasons for which RuntimeDropped counts samples.
var (
	seriesLimit = exposition.RenderLabels("reason", "series_limit")
	memoryLimit = exposition.RenderLabels("reason", "memory")
)

// writeOwn writes the families about the worker's own work.
func writeOwn(w *exposition.Writer, worker exposition.Labels, outcomes []outcome, verdicts []verdict, generation int64) {
	writeEngines(w, outcomes)
	writePages(w, outcomes)
	collector := func(m catalog.Metric, value func(v *verdict) float64) {
		if len(verdicts) > 0 {
			w.Family(m.WireName(), string(m.Type), m.Help)
		}
		for i := range verdicts {
			w.Sample(m.WireName(), value(&verdicts[i]), worker, verdicts[i].labels)
		}
	}
	collector(catalog.CollectorSuccess, func(v *verdict) float64 { return boolean(v.err == nil) })
	collector(catalog.CollectorDuration, func(v *verdict) float64 { return v.took.Seconds() })
	single := func(m catalog.Metric, value float64, labels exposition.Labels) {
		w.Family(m.WireName(), string(m.Type), m.Help)
		w.Sample(m.WireName(), value, labels)
	}
	single(catalog.MetricsConfigApplied, float64(generation), worker)
	b := buildinfo.Get()
	single(catalog.BuildInfo, 1, exposition.RenderLabels("version", b.Version, "revision", b.Revision, "goversion", b.GoVersion))
}

// writeEngines writes the families that every engine has.
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
	family(catalog.RuntimeParseErrors, func(o *outcome) float64 { return float64(o.totals().parseErrors) })
	family(catalog.RuntimeDuplicates, func(o *outcome) float64 { return float64(o.totals().duplicates) })
}

// writePages writes the families of engines that have a page now. A negative value is none.
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
	family(catalog.RuntimeTypeConflicts, func(o *outcome) (float64, exposition.Labels) { return float64(o.totals().typeConflicts), "" })
	family(catalog.RuntimeHistograms, func(o *outcome) (float64, exposition.Labels) { return float64(o.totals().invalidHistograms), "" })
	writeDropped(w, outcomes)
	writeChurning(w, outcomes)
	users := func(m catalog.Metric, count func(kept, folded int) int) {
		family(m, func(o *outcome) (float64, exposition.Labels) {
			kept, folded := o.tracked.users.Counts()
			if kept+folded == 0 && !o.flight.instance.Gateway {
				return -1, ""
			}
			return float64(count(kept, folded)), ""
		})
	}
	users(catalog.GatewayUsers, func(kept, _ int) int { return kept })
	users(catalog.GatewayUsersFolded, func(_, folded int) int { return folded })
}

// writeDropped writes how many samples were left out, for each reason.
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
		t := o.totals()
		w.Sample(m.WireName(), float64(t.overLimit), o.labels, seriesLimit)
		w.Sample(m.WireName(), float64(t.overMemory), o.labels, memoryLimit)
	}
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
