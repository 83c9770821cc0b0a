package worker

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/fake"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/simengine"
)

// backend is a driver that does as it is told.
type backend struct {
	vendor string
	read   func(ctx context.Context) (gpu.Reading, error)
}

func (b *backend) Vendor() string                                { return b.vendor }
func (b *backend) MinInterval() time.Duration                    { return 0 }
func (b *backend) Close() error                                  { return nil }
func (b *backend) Read(ctx context.Context) (gpu.Reading, error) { return b.read(ctx) }
func simulated(t *testing.T, cards int, users ...fake.User) gpu.Backend {
	t.Helper()
	b, err := fake.New(fake.Options{Devices: cards, Seed: 1, Users: func() []fake.User { return users }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A driver that never returns costs its own cards' families and nothing else: the scrape does not wait for it and no goroutine
// piles up behind it.
func TestScrapeDoesNotWaitForADriver(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	var calls atomic.Int32
	o := options(t)
	o.GPUInterval = 20 * time.Millisecond
	o.GPUBackends = []gpu.Backend{
		&backend{"nvidia", func(context.Context) (gpu.Reading, error) {
			if calls.Add(1) > 2 {
				<-block
			}
			return gpu.Reading{Devices: []gpu.Device{{
				Identity:    gpu.Identity{Vendor: "nvidia", Index: "0", Chip: "0", Name: "H100", UUID: "GPU-1"},
				Temperature: gpu.Known(50),
			}}}, nil
		}},
		simulated(t, 8),
	}
	w := run(t, o)
	const hung = `gpustack:gpu_driver_responsive{cluster_name="default",worker_name="node-1",vendor="nvidia"} 0`
	eventually(t, "the driver counts as hung", func() bool {
		return slices.Contains(lines(w.scrape(t, "/metrics"), "gpustack:gpu_driver_responsive"), hung)
	})

	well := options(t)
	well.GPUBackends = []gpu.Backend{simulated(t, 8)}
	other := run(t, well)
	eventually(t, "the other worker's cards are read", func() bool {
		return len(lines(other.scrape(t, "/metrics"), "gpustack:worker_node_gpu_temperature_celsius{")) == 8
	})
	scrape := func(w running, took *[]time.Duration) string {
		begin := time.Now()
		reply := httptest.NewRecorder()
		w.handler.ServeHTTP(reply, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		*took = append(*took, time.Since(begin))
		return reply.Body.String()
	}

	before := runtime.NumGoroutine()
	var took, usual []time.Duration
	for range 1000 {
		scrape(other, &usual)
		page := scrape(w, &took)
		if n := len(lines(page, "gpustack:worker_node_gpu_temperature_celsius{")); n != 8 {
			t.Fatalf("%d cards are on the page, want the 8 of the driver that answers", n)
		}
		if len(lines(page, "gpustack:worker_node_memory_total_bytes{")) != 1 {
			t.Fatal("the host is not on the page")
		}
	}
	slices.Sort(took)
	slices.Sort(usual)
	t.Logf("1,000 scrapes: median %s, slowest %s; of a worker whose drivers answer: %s, %s", took[500], took[999], usual[500], usual[999])
	if took[500] > 5*usual[500] {
		t.Errorf("a scrape takes %s, and %s where all drivers answer", took[500], usual[500])
	}
	if after := runtime.NumGoroutine(); after > before+5 {
		t.Errorf("%d goroutines, %d before", after, before)
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("the hung driver was called %d times, want 3", n)
	}
}

// Two engines that show no running request: one hangs while it keeps its GPU busy, the other has no work.
func TestHungEngineIsStalledAndAnIdleOneIsNot(t *testing.T) {
	hung, err := simengine.New(simengine.Options{Profile: simengine.ProfileVLLM, Model: "qwen", Seed: 1, Start: time.Now().Add(-time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	var busy atomic.Bool
	o := options(t)
	o.StallAfter, o.GPUInterval = 2*time.Second, 50*time.Millisecond
	o.Engines = []engine.Declaration{{URL: serve(hung.Handler()), Instance: "hung"}, {URL: idlePage(t), Instance: "idle"}}
	o.GPUBackends = []gpu.Backend{&backend{"nvidia", func(context.Context) (gpu.Reading, error) {
		r := gpu.Reading{}
		for i, name := range []string{"hung", "idle"} {
			d := gpu.Device{
				Identity:    gpu.Identity{Vendor: "nvidia", Index: fmt.Sprint(i), Chip: "0", Name: "H100", UUID: fmt.Sprint("GPU-", i)},
				Utilization: gpu.Known(0), MemoryUsed: gpu.Known(1 << 30), MemoryTotal: gpu.Known(1 << 36), ProcessesKnown: true,
				Processes: []gpu.Process{{PID: 1, Instance: name, Memory: gpu.Known(1 << 30)}},
			}
			if busy.Load() && name == "hung" {
				d.Utilization = gpu.Known(1)
			}
			r.Devices = append(r.Devices, d)
		}
		return r, nil
	}}}
	w := run(t, o)
	stalled := func(instance string) string {
		for _, line := range lines(w.scrape(t, "/metrics"), "gpustack:model_instance_stalled{") {
			if strings.Contains(line, `model_instance_name="`+instance+`"`) {
				return line[len(line)-1:]
			}
		}
		return "absent"
	}
	eventually(t, "engines are read", func() bool { return stalled("hung") == "0" && stalled("idle") == "0" })
	hung.SetHang(simengine.HangHidden)
	busy.Store(true)
	eventually(t, "the hung engine is stalled", func() bool { return stalled("hung") == "1" })
	hung.SetHang(simengine.NotHung)
	busy.Store(false)
	eventually(t, "it recovers", func() bool { return stalled("hung") == "0" })
	if got := stalled("idle"); got != "0" {
		t.Errorf("the idle engine: stalled is %s", got)
	}
}

func idlePage(t *testing.T) string {
	t.Helper()
	const page = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=\"qwen\"} 0\n# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total{model_name=\"qwen\"} 5\n"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) }))
	t.Cleanup(s.Close)
	return s.URL
}
