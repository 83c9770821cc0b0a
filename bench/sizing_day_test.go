package bench

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/attribution"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/fake"
	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	enginefetch "github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/instances"
	"github.com/stackscope/stackscope/internal/mapsync"
	"github.com/stackscope/stackscope/internal/simengine"
)

const (
	sizingGPUs  = 8
	sizingEvery = 5 * time.Second
	// sizingHours is how long the simulated fleet runs. STACKSCOPE_BENCH_HOURS changes it.
	sizingHours = 24
	// sizingFrom is the hour at which the fleet's day begins.
	sizingFrom = 6
	// busyGPU is the load of an engine that makes progress.
	busyGPU = 0.75
)

// sizingEngines are the engines of the simulated day, one of a kind, by the name of their instance.
var sizingEngines = []struct{ name, profile, model string }{
	{"vLLM", simengine.ProfileVLLM, "qwen3-32b"},
	{"SGLang", simengine.ProfileSGLang, "deepseek-v3.2"},
	{"MindIE", simengine.ProfileMindIE, "pangu-pro-moe"},
}

// gatewayName is the instance of the gateway in front of them.
const gatewayName = "LiteLLM"

// TestSizingDay stores a day of a worker with eight GPUs, three engines and a gateway, as the server stores it, and prints what the blocks
// of each source take. Time is simulated: the GPUs are sampled every second and the worker is scraped every five.
func TestSizingDay(t *testing.T) {
	if os.Getenv("STACKSCOPE_BENCH") == "" {
		t.Skip("simulates a day, which takes some minutes: set STACKSCOPE_BENCH=1 or run make sizing")
	}
	hours := sizingHours
	if text := os.Getenv("STACKSCOPE_BENCH_HOURS"); text != "" {
		var err error
		if hours, err = strconv.Atoi(text); err != nil || hours < 3 {
			t.Fatalf("STACKSCOPE_BENCH_HOURS=%s: give at least 3", text)
		}
	}
	s := openSampleStore(t, t.TempDir())
	pages, stored := make(chan scrapedPage), make(chan error) // made outside of the simulation: its clock waits for them
	go func() {
		for p := range pages {
			stored <- s.add(p)
		}
	}()
	defer close(pages)
	synctest.Test(t, func(t *testing.T) {
		w := newSimulatedWorker(t)
		for range hours * int(time.Hour/sizingEvery) {
			time.Sleep(sizingEvery)
			pages <- scrapedPage{at: time.Now(), text: w.scrape(t)}
			if err := <-stored; err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Log(s.finish(t, hours))
}

// simulatedWorker is a worker without a machine: its engines are simulated, and reached without a network.
type simulatedWorker struct{ handler http.Handler }

// newSimulatedWorker starts the parts of a worker until the test ends.
func newSimulatedWorker(t *testing.T) *simulatedWorker {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	handlers, gateway := handlers{}, &simengine.Gateway{}
	var declared []engine.Declaration
	for i, e := range sizingEngines {
		sim, err := simengine.New(simengine.Options{
			Profile: e.profile, Model: e.model, Seed: uint64(i), Start: time.Now().Add(-time.Hour), Gateway: gateway,
			LoadAt: time.Date(2026, time.March, 3, sizingFrom, 0, 0, 0, time.UTC), // a Tuesday
		})
		if err != nil {
			t.Fatal(err)
		}
		host := "engine-" + strconv.Itoa(i) + ":8000"
		handlers[host] = sim.Handler()
		declared = append(declared, engine.Declaration{URL: "http://" + host, Instance: e.name})
	}
	handlers["gateway:4000"] = gateway.Handler()
	declared = append(declared, engine.Declaration{URL: "http://gateway:4000", Instance: gatewayName})

	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := instances.OpenStore(filepath.Join(dir, "worker.json"), "", logger)
	must(err)
	follower, err := mapsync.NewFollower(mapsync.FollowerOptions{Logger: logger})
	must(err)
	declared, err = engine.CheckDeclarations(declared, "node-1")
	must(err)
	do := discovery.Options{Logger: logger}
	for _, d := range declared {
		do.Declared = append(do.Declared, discovery.Declared{Key: d.Instance, URL: d.URL})
	}
	found, err := discovery.New(do)
	must(err)
	shares := attribution.New(func(p gpu.Process) (string, bool) { return p.Instance, p.Instance != "" })
	manager, err := instances.New(instances.Options{
		Worker: "node-1", Store: store, Fetcher: enginefetch.New(enginefetch.Options{Transport: handlers}), GPUs: simulatedShares{shares}, Declared: declared,
		Retention: 5 * time.Minute, StallAfter: 2 * time.Minute, Logger: logger,
	})
	must(err)
	gpus, err := fake.New(fake.Options{Devices: sizingGPUs, Seed: 1, Users: func() (users []fake.User) {
		for _, in := range manager.Instances() {
			if in.Key() == gatewayName {
				continue
			}
			u := fake.User{Instance: in.Key()}
			if time.Since(in.LastProgress()) < time.Minute {
				u.Load = busyGPU
			}
			users = append(users, u)
		}
		return users
	}})
	must(err)
	set, err := gpu.New(gpu.Options{Backends: []gpu.Backend{gpus}, Interval: time.Second, Root: dir, OnReading: shares.Observe, Logger: logger})
	must(err)
	collectors := []exporter.Collector{shares, manager.Collector()}
	for _, c := range set.Collectors() {
		collectors = append(collectors, c)
	}
	x, err := exporter.New(exporter.Options{
		Engines: manager.Engines, Collectors: collectors, Mapping: follower, UserLimit: 1000, Logger: logger,
		Identity: func() exporter.Identity {
			return exporter.Identity{WorkerID: "1", WorkerName: "node-1", ClusterID: "1", ClusterName: "default"}
		},
	})
	must(err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 3)
	for _, run := range []func(context.Context){set.Run, found.Run, func(ctx context.Context) { manager.Run(ctx, found) }} {
		go func() {
			run(ctx)
			ended <- struct{}{}
		}()
	}
	t.Cleanup(func() {
		cancel()
		for range cap(ended) {
			<-ended
		}
	})
	return &simulatedWorker{handler: x.Handler()}
}

func (w *simulatedWorker) scrape(t *testing.T) []byte {
	t.Helper()
	answer := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	w.handler.ServeHTTP(answer, req)
	if answer.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", answer.Code, answer.Body)
	}
	return answer.Body.Bytes()
}

type simulatedShares struct{ *attribution.Attribution }

// Presence implements instances.GPUs.
func (s simulatedShares) Presence(key string) instances.GPUPresence {
	return instances.GPUPresence(s.Attribution.Presence(key))
}

// handlers answers requests by the host they are for.
type handlers map[string]http.Handler

// RoundTrip implements http.RoundTripper.
func (h handlers) RoundTrip(req *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	asked := httptest.NewRequestWithContext(req.Context(), cmp.Or(req.Method, http.MethodGet), req.URL.RequestURI(), req.Body)
	asked.Header = req.Header
	h[req.URL.Host].ServeHTTP(answer, asked)
	resp := answer.Result()
	resp.Request = req
	return resp, nil
}
