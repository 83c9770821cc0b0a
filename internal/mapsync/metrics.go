package mapsync

import (
	"sync"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// kind and eventType are label values of the metrics of the event bus, as GPUStack spells them.
type (
	kind      int
	eventType int
)

const (
	received kind = iota
	filtered
	coalescedKind
	enqueued
	backpressured
	kinds
)

const (
	created eventType = iota
	updated
	deleted
	eventTypes
)

func (k kind) String() string {
	return [kinds]string{"received", "filtered", "coalesced", "enqueued", "backpressured"}[k]
}

func (t eventType) String() string {
	return [eventTypes]string{"CREATED", "UPDATED", "DELETED"}[t]
}

// counts counts events since the start. Nothing is ever backpressured: a slow subscriber's queue keeps only the newest.
type counts struct {
	mu sync.Mutex
	n  [kinds][eventTypes]int
}

func (c *counts) add(k kind, t eventType, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[k][t] += n
}

func (c *counts) read() [kinds][eventTypes]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// WriteMetrics writes the metrics of the event bus and the active generation.
func (p *Publisher) WriteMetrics(w *exposition.Writer) {
	gauge := func(m catalog.Metric, v float64, labels ...exposition.Labels) {
		w.Family(m.WireName(), string(m.Type), m.Help)
		w.Sample(m.WireName(), v, labels...)
	}
	listeners, waiting := p.out.depth()
	ratio := 0.0
	if waiting > 0 {
		ratio = 1 // each queue holds one event
	}
	bus := exposition.RenderLabels("topic", "metrics_config", "source", "server")
	gauge(catalog.MetricsConfigGeneration, float64(p.Current().Number))
	gauge(catalog.BusSubscribers, float64(listeners), bus)
	gauge(catalog.BusQueueDepth, float64(waiting), bus)
	gauge(catalog.BusQueueCapacity, float64(listeners), bus)
	gauge(catalog.BusQueueFull, float64(waiting), bus)
	gauge(catalog.BusQueueSaturation, ratio, bus)
	gauge(catalog.BusSubscriberLatestKeys, float64(waiting), bus)

	m := catalog.BusEvents
	w.Family(m.WireName(), string(m.Type), m.Help)
	counted := p.counts.read()
	for k := range kinds {
		for t := range eventTypes {
			w.Sample(m.WireName(), float64(counted[k][t]), bus.With(exposition.RenderLabels("kind", k.String(), "event_type", t.String())))
		}
	}
	gauge(catalog.MetricsConfigPassedOver, float64(p.passedOver.Load()))
}
