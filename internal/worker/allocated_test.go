//go:build !race

// The race detector makes pools forget what they hold, so nothing that a scrape allocates can be told under it.

package worker

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/exporter"
)

// What a scrape of the host's and eight cards' families allocates: what a page with them allocates more than one without.
func TestScrapeOfHostAndCardsAllocatesLittle(t *testing.T) {
	o := options(t)
	o.GPUBackends = []gpu.Backend{simulated(t, 8)}
	w := run(t, o)
	eventually(t, "all families are there", func() bool {
		page := w.scrape(t, "/metrics")
		return len(lines(page, "gpustack:worker_node_gpu_temperature_celsius{")) == 8 && len(lines(page, "gpustack:worker_node_cpu_utilization_rate{")) == 1
	})
	if err := w.stop(); err != nil { // nothing else allocates meanwhile
		t.Fatal(err)
	}
	bare, err := exporter.New(exporter.Options{
		Engines: w.instances.Engines, Mapping: w.follower, Identity: func() exporter.Identity { return *w.labels.Load() },
	})
	if err != nil {
		t.Fatal(err)
	}
	with, without := allocated(t, w.handler), allocated(t, bare.Handler())
	t.Logf("%d bytes, %d of them without host and cards", with, without)
	if n := with - without; n >= 64<<10 {
		t.Errorf("a scrape of the host and eight cards allocates %d bytes, fewer than 65536 are allowed", n)
	}
}

// allocated is how many bytes one scrape allocates.
func allocated(t *testing.T, h http.Handler) int64 {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	result := testing.Benchmark(func(b *testing.B) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(discard{http.Header{}}, req)
		}
	})
	return result.AllocedBytesPerOp()
}

// discard is a reply that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
