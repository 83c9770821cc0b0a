package gpu

import (
	"fmt"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// eight is a set that has read eight full GPUs.
func eight(tb testing.TB) *Set {
	tb.Helper()
	var devices []Device
	for i := range 8 {
		d := fullDevice()
		d.Index, d.UUID, d.PCI = fmt.Sprint(i), fmt.Sprintf("GPU-%d", i), fmt.Sprintf("0000:%02x:00.0", i)
		devices = append(devices, d)
	}
	s, err := New(Options{Backends: []Backend{newStub("nvidia")}, Root: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	s.registry.count(Event{Vendor: "nvidia", UUID: "GPU-1", Kind: "xid", Code: "79"}, time.Now())
	s.samplers[0].handleResult(tb.Context(), result{reading: Reading{Devices: devices}})
	return s
}

func TestScrapeAllocatesLittle(t *testing.T) {
	c := eight(t).Collectors()[0]
	n := 0
	emit := func(*catalog.Metric, string, float64, exposition.Labels) { n++ }
	r := testing.Benchmark(func(b *testing.B) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			if took, err := c.Collect(emit); took < 0 || err != nil {
				b.Fatal(took, err)
			}
		}
	})
	if n == 0 || r.AllocedBytesPerOp() > 1<<10 {
		t.Errorf("%d bytes in %d allocations a scrape", r.AllocedBytesPerOp(), r.AllocsPerOp())
	}
}

func BenchmarkCollect(b *testing.B) {
	c := eight(b).Collectors()[0]
	emit := func(*catalog.Metric, string, float64, exposition.Labels) {}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Collect(emit); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTake is what a reading of eight full GPUs costs beside the driver.
func BenchmarkTake(b *testing.B) {
	s := eight(b).samplers[0]
	r := result{reading: Reading{Devices: s.last.devices}}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		s.handleResult(ctx, r)
	}
}
