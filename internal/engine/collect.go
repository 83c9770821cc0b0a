package engine

import (
	"math"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// maxRendered bounds the cached label sets: of each model of a page that names several, before and after a change.
const maxRendered = 72

// rendered caches the labels of the engine's samples for one set of instance labels, which precede them.
type rendered struct {
	instance    exposition.Labels
	phases      [phases]exposition.Labels
	buckets     [phases][]exposition.Labels
	transitions []exposition.Labels
	noMetrics   noMetrics // whose labels reason is
	reason      exposition.Labels
}

// reasonLabels returns the labels with a reason, and keeps the last ones.
func (r *rendered) reasonLabels(why noMetrics) exposition.Labels {
	if r.noMetrics != why {
		r.noMetrics, r.reason = why, r.instance.With(exposition.RenderLabels("reason", string(why)))
	}
	return r.reason
}

// Collect calls emit for each sample that the engine has about itself, one metric after the other: its progress, its starts
// and the changes of its state. instance is the labels of the instance. It does not wait; emit must not call the Engine.
func (e *Engine) Collect(emit func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels), instance exposition.Labels) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.stall.lastProgress.IsZero() {
		emit(&catalog.InstanceLastProgress, "", unixSeconds(e.stall.lastProgress), instance)
	}
	if e.stall.hasCounters && e.stall.after >= 0 {
		stalled := 0.
		if e.stall.stalled {
			stalled = 1
		}
		emit(&catalog.InstanceStalled, "", stalled, instance)
	}
	r := e.labels(instance)
	if why := e.whyNoMetrics(); why != "" {
		emit(&catalog.InstanceNoMetrics, "", 1, r.reasonLabels(why))
	}
	for i := range e.phases {
		d := &e.phases[i]
		if d.n == 0 {
			continue
		}
		var n uint64
		for bucket, count := range d.counts {
			n += count
			emit(&catalog.InstancePhase, "_bucket", float64(n), r.buckets[i][bucket])
		}
		emit(&catalog.InstancePhase, "_sum", d.sum, r.phases[i])
		emit(&catalog.InstancePhase, "_count", float64(d.n), r.phases[i])
	}
	for i, n := range e.transitions.counts {
		emit(&catalog.InstanceTransitions, "", float64(n), r.transitions[i])
	}
}

// unixSeconds returns t in Unix seconds, to the millisecond.
func unixSeconds(t time.Time) float64 { return math.Round(float64(t.UnixMilli())) / 1e3 }

// labels returns the cache entry for an instance and adds the transitions that are new.
func (e *Engine) labels(instance exposition.Labels) *rendered {
	var r *rendered
	for _, have := range e.rendered {
		if have.instance == instance {
			r = have
		}
	}
	if r == nil {
		r = newRendered(instance)
		if len(e.rendered) == maxRendered {
			e.rendered = append(e.rendered[:0], e.rendered[1:]...)
		}
		e.rendered = append(e.rendered, r)
	}
	for i := len(r.transitions); i < len(e.transitions.kinds); i++ {
		t := e.transitions.kinds[i]
		own := exposition.RenderLabels("from", string(t.from), "to", string(t.to), "reason", string(t.reason))
		r.transitions = append(r.transitions, instance.With(own))
	}
	return r
}

func newRendered(instance exposition.Labels) *rendered {
	r := &rendered{instance: instance}
	for i, name := range phaseNames() {
		r.phases[i] = instance.With(exposition.RenderLabels("phase", name))
		for _, bound := range phaseBounds() {
			r.buckets[i] = append(r.buckets[i], r.phases[i].With(exposition.RenderLabels("le", strconv.FormatFloat(bound, 'g', -1, 64))))
		}
		r.buckets[i] = append(r.buckets[i], r.phases[i].With(exposition.RenderLabels("le", "+Inf")))
	}
	return r
}
