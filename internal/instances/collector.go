package instances

import (
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Collector returns what the worker itself measures of its instances: state, restarts, stalls, their part of the GPUs.
func (m *Manager) Collector() exporter.Collector { return collector{m} }

type collector struct{ manager *Manager }

// Name implements exporter.Collector.
func (collector) Name() string { return "model_instance" }

// Collect implements exporter.Collector. It cannot fail, and the negative duration leaves the collector's own status out.
func (c collector) Collect(emit exporter.Emit) (time.Duration, error) {
	m := c.manager
	for _, in := range m.Instances() {
		labels := in.ownLabels()
		for _, of := range in.modelLabels(labels) {
			in.engine.Collect(emit, of)
		}
		m.opts.GPUs.CollectInstance(in.key, emit, labels)
	}
	if m.opts.Unreported != nil {
		emit(&catalog.UnreportedInstances, "", float64(m.opts.Unreported()), "")
	}
	return -1, nil
}

// modelLabels returns the labels of each model instance of the engine: own if it is one itself.
func (in *Instance) modelLabels(own exposition.Labels) []exposition.Labels {
	s, p := in.models()
	if !p.areSeveral() {
		return []exposition.Labels{own}
	}
	return in.exportModels(&s, p).labels
}
