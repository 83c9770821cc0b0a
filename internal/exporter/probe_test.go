package exporter

import (
	"testing"
	"time"
)

type countingCollector struct{ asked *int }

func (countingCollector) Name() string { return "counting" }

func (c countingCollector) Collect(Emit) (time.Duration, error) {
	*c.asked++
	return 0, nil
}

func TestProbeReadsCollectorsAndNoEngine(t *testing.T) {
	engine := newEngine("a")
	e, _ := newExporter(t, engine)
	asked := 0
	e.collectors = []Collector{countingCollector{&asked}}
	e.Probe()
	if asked != 1 || engine.fetches.Load() != 0 {
		t.Errorf("%d collectors and %d engines were asked; want 1 and 0", asked, engine.fetches.Load())
	}
	if page := get(t, e.Handler(), "/metrics"); asked != 2 || len(series(page, "gpustack:")) == 0 {
		t.Errorf("the next page: %s", page)
	}
}
