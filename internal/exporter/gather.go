package exporter

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// verdict is what a collector said about its last reading.
type verdict struct {
	labels exposition.Labels
	took   time.Duration
	err    error
}

// gathering is the samples of all collectors by family, since several collectors may have samples of one. Its memory is
// used again.
type gathering struct {
	families []gathered
	at       map[string]int // index into families by name
	last     int            // the family of the sample before
}

type gathered struct {
	metric  *catalog.Metric
	samples []sample
}

type sample struct {
	suffix string
	value  float64
	labels exposition.Labels
}

func (g *gathering) reset() {
	if g.at == nil {
		g.at = map[string]int{}
	}
	for i := range g.families {
		g.families[i].samples = g.families[i].samples[:0]
	}
	g.last = -1
}

func (g *gathering) add(m *catalog.Metric, suffix string, value float64, labels exposition.Labels) {
	if g.last < 0 || g.families[g.last].metric.Name != m.Name {
		i, ok := g.at[m.Name]
		if !ok {
			i = len(g.families)
			g.at[m.Name] = i
			g.families = append(g.families, gathered{metric: m})
		}
		g.last = i
	}
	f := &g.families[g.last]
	f.samples = append(f.samples, sample{suffix, value, labels})
}

// write writes the families that have samples, in the order in which they were first seen.
func (g *gathering) write(w *exposition.Writer, worker exposition.Labels) {
	for _, f := range g.families {
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

func (e *Exporter) writeCollectors(w *exposition.Writer, worker exposition.Labels) []verdict {
	g, _ := e.gathered.Get().(*gathering)
	defer e.gathered.Put(g)
	g.reset()
	verdicts := make([]verdict, 0, len(e.collectors))
	for _, c := range e.collectors {
		took, err := e.collect(c, g)
		if took >= 0 {
			verdicts = append(verdicts, verdict{exposition.RenderLabels("collector", c.Name()), took, err})
		}
	}
	g.write(w, worker)
	return verdicts
}

// collect gathers a collector's samples. One that panics costs the others nothing.
func (e *Exporter) collect(c Collector, g *gathering) (took time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.logger.Error("collector failed", "collector", c.Name(), "panic", p, "stack", string(debug.Stack()))
			took, err = 0, fmt.Errorf("panic: %v", p)
		}
	}()
	return c.Collect(g.add)
}
