package exporter

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// collectorStatus says how a collector's last reading went.
type collectorStatus struct {
	labels exposition.Labels
	took   time.Duration
	err    error
}

// sampleBuffer groups the samples of all collectors by metric, since several collectors may have samples of the same one and a page
// must list them together. It is reused between scrapes.
type sampleBuffer struct {
	metrics []bufferedMetric
	index   map[string]int // into metrics by name
	last    int            // the metric of the previous sample; -1: none
}

type bufferedMetric struct {
	metric  *catalog.Metric
	samples []sample
}

type sample struct {
	suffix string
	value  float64
	labels exposition.Labels
}

func (b *sampleBuffer) reset() {
	if b.index == nil {
		b.index = map[string]int{}
	}
	for i := range b.metrics {
		b.metrics[i].samples = b.metrics[i].samples[:0]
	}
	b.last = -1
}

func (b *sampleBuffer) add(m *catalog.Metric, suffix string, value float64, labels exposition.Labels) {
	if b.last < 0 || b.metrics[b.last].metric.Name != m.Name {
		i, ok := b.index[m.Name]
		if !ok {
			i = len(b.metrics)
			b.index[m.Name] = i
			b.metrics = append(b.metrics, bufferedMetric{metric: m})
		}
		b.last = i
	}
	f := &b.metrics[b.last]
	f.samples = append(f.samples, sample{suffix, value, labels})
}

// write writes the metrics that have samples, in the order in which they were first added.
func (b *sampleBuffer) write(w *exposition.Writer, worker exposition.Labels) {
	for _, f := range b.metrics {
		if len(f.samples) == 0 {
			continue
		}
		name := f.metric.WireName()
		w.Family(name, string(f.metric.Type), f.metric.Help)
		suffixed, suffix := name, ""
		for _, s := range f.samples {
			if s.suffix != suffix {
				suffixed, suffix = name+s.suffix, s.suffix
			}
			w.Sample(suffixed, s.value, worker, s.labels)
		}
	}
}

// writeCollectors writes the samples of all collectors. It returns the status of those that have read something.
func (e *Exporter) writeCollectors(w *exposition.Writer, worker exposition.Labels) []collectorStatus {
	b, _ := e.samples.Get().(*sampleBuffer)
	defer e.samples.Put(b)
	b.reset()
	statuses := make([]collectorStatus, 0, len(e.collectors))
	for _, c := range e.collectors {
		took, err := e.collect(c, b)
		if took >= 0 {
			statuses = append(statuses, collectorStatus{exposition.RenderLabels("collector", c.Name()), took, err})
		}
	}
	b.write(w, worker)
	return statuses
}

// collect adds a collector's samples to b. A panic of one collector does not reach the others.
func (e *Exporter) collect(c Collector, b *sampleBuffer) (took time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.logger.Error("collector failed", "collector", c.Name(), "panic", p, "stack", string(debug.Stack()))
			took, err = 0, fmt.Errorf("panic: %v", p)
		}
	}()
	return c.Collect(b.add)
}
