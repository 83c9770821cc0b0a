package instances

import (
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exporter"
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
		in.engine.Collect(emit, labels)
		m.opts.GPUs.CollectInstance(in.key, emit, labels)
	}
	if m.opts.Unreported != nil {
		emit(&catalog.UnreportedInstances, "", float64(m.opts.Unreported()), "")
	}
	return -1, nil
}
