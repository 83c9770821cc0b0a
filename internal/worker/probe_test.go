package worker

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/mapping"
)

type builtin struct{ compiled *mapping.Compiled }

func (b builtin) Current() (*mapping.Compiled, int64) { return b.compiled, 0 }

// hanging is where a page of metrics hangs.
type hanging struct {
	probes  atomic.Int32
	release chan struct{}
}

func (*hanging) Name() string { return "hanging" }

func (h *hanging) Collect(exporter.Emit) (time.Duration, error) {
	h.probes.Add(1)
	<-h.release
	return 0, nil
}

// However often a worker is asked whether it lives, one page at a time is begun.
func TestHangingProbesDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		compiled, err := mapping.Compile(mapping.Default())
		if err != nil {
			t.Fatal(err)
		}
		h := &hanging{release: make(chan struct{})}
		e, err := exporter.New(exporter.Options{
			Engines: func() []exporter.Engine { return nil }, Collectors: []exporter.Collector{h}, Mapping: builtin{compiled},
			Identity: func() exporter.Identity { return exporter.Identity{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		w := &Worker{exporter: e}
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := w.Alive(ctx); err == nil {
				t.Error("it lives")
			}
			cancel()
		}
		if n := h.probes.Load(); n != 1 {
			t.Errorf("%d pages were begun, want 1", n)
		}
		close(h.release)
		<-w.probed()
		<-w.probed()
		if n := h.probes.Load(); n < 2 {
			t.Error("no page was begun after the one that hung")
		}
		synctest.Wait()
	})
}
