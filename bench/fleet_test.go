package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"

	"github.com/stackscope/stackscope/internal/prom"
)

const (
	fleetWorkers  = 100
	fleetVariants = 5  // models that are made of each one of the demo's
	gatewayEvery  = 21 // of so many workers one has a gateway
	fleetHistory  = time.Hour
	// The intervals at which the two jobs scrape.
	workerEvery = 5 * time.Second
	serverEvery = 10 * time.Second
)

// sample is a series of the demo with its newest value.
type sample struct {
	labels map[string]string
	value  float64
}

// demoSamples runs the demo for a while and returns the newest sample of each series in its Prometheus.
func demoSamples(t *testing.T) []sample {
	t.Helper()
	bin := os.Getenv("STACKSCOPE_BIN")
	if bin == "" {
		bin = filepath.Join("..", "bin")
	}
	address := freeAddress(t)
	port := func(a string) string { return a[strings.LastIndexByte(a, ':')+1:] }
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "stackscope"), "demo", "--port", port(address), "--metrics-port", "0", "--worker-metrics-port", "0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait()
	}()
	// Some series appear at the second scrape only.
	const settled = 12 * time.Second
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		got, err := newestSamples(ctx, "http://"+address)
		if err == nil && len(got) > 500 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the demo at %s has %d series after a minute: %v", address, len(got), err)
		}
	}
	time.Sleep(settled)
	got, err := newestSamples(ctx, "http://"+address)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// newestSamples returns the newest sample of every series.
func newestSamples(ctx context.Context, base string) ([]sample, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/prometheus/api/v1/query?query="+url.QueryEscape(`{__name__!=""}`), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	var all []sample
	for _, r := range answer.Data.Result {
		v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		all = append(all, sample{r.Metric, v})
	}
	return all, nil
}

// history is a series of the fleet and how its value changes within the hour.
type history struct {
	labels   labels.Labels
	value    float64 // at the end; a gauge's varies around it
	counter  bool
	integer  bool
	constant bool          // states, identities, times
	phase    float64       // of the wave that a gauge follows; series of the same source have the same one
	server   bool          // of the job that scrapes the server
	offset   time.Duration // of its target's scrapes
	ref      storage.SeriesRef
}

// multiply makes the series of a fleet from those of the demo: as many workers, each with two to four of the demo's engines, which
// serve several times as many models. Some workers have a gateway, too, with the users of the demo's.
func multiply(samples []sample) []history {
	engines := enginesOf(samples)
	var all []history
	for _, s := range samples {
		worker, model, instance := s.labels["worker_name"] != "" || s.labels["job"] == prom.JobWorkers, s.labels["model_name"], s.labels["model_instance_name"]
		switch {
		case worker:
			for w := range fleetWorkers {
				more := map[string]string{"worker_name": workerName(w), "worker_id": strconv.Itoa(w + 1)}
				if s.labels["job"] == prom.JobWorkers {
					more["instance"] = fmt.Sprintf("10.0.%d.%d:10151", w/200, 1+w%200)
				}
				for _, id := range []string{"uuid", "slice_uuid", "parent_uuid"} {
					if v := s.labels[id]; len(v) > 4 {
						more[id] = fmt.Sprintf("%s%04d", v[:len(v)-4], w)
					}
				}
				if instance == "" {
					all = append(all, s.with(more, w))
					continue
				}
				if !slices.Contains(engines, instance) { // the gateway
					if w%gatewayEvery == 0 {
						more["model_name"] = variant(model, w)
						more["model_instance_name"] = fmt.Sprintf("%s-%d", instance, w)
						all = append(all, s.with(more, w))
					}
					continue
				}
				for k := range 2 + w%3 {
					if engines[(w+k)%len(engines)] != instance {
						continue
					}
					more["model_name"] = variant(model, w)
					more["model_instance_name"] = fmt.Sprintf("%s-%d-%d", variant(model, w), w, k)
					all = append(all, s.with(more, w))
				}
			}
		case model != "":
			for v := range fleetVariants {
				all = append(all, s.with(map[string]string{"model_name": variant(model, v)}, v))
			}
		default:
			all = append(all, s.with(nil, 0))
		}
	}
	return all
}

// enginesOf returns the instances that run requests, which a gateway does not.
func enginesOf(samples []sample) (names []string) {
	for _, s := range samples {
		if s.labels[model.MetricNameLabel] == "gpustack:num_requests_running" {
			names = append(names, s.labels["model_instance_name"])
		}
	}
	return names
}

func workerName(w int) string { return fmt.Sprintf("node-%03d", w) }

func variant(model string, w int) string { return fmt.Sprintf("%s-%c", model, 'a'+w%fleetVariants) }

// with returns the history of a series with other labels, on the worker of index w. If it has the id of a model or an instance,
// the id is made from the name.
func (s sample) with(more map[string]string, w int) history {
	b := labels.NewBuilder(labels.EmptyLabels())
	for name, v := range s.labels {
		b.Set(name, v)
	}
	for name, v := range more {
		if _, ok := s.labels[name]; ok {
			b.Set(name, v)
		}
	}
	for id, name := range map[string]string{"model_id": "model_name", "model_instance_id": "model_instance_name"} {
		if _, ok := s.labels[id]; ok && more[name] != "" {
			b.Set(id, strconv.FormatUint(hash(more[name])%1e6, 10))
		}
	}
	name := s.labels[model.MetricNameLabel]
	c := history{labels: b.Labels(), value: s.value, server: s.labels["job"] == prom.JobServer, offset: time.Duration(w) * 47 * time.Millisecond}
	for _, end := range []string{"_total", "_bucket", "_sum", "_count"} {
		c.counter = c.counter || strings.HasSuffix(name, end)
	}
	c.integer = s.value == math.Trunc(s.value)
	c.constant = s.value == 0 || s.value == 1 || strings.Contains(name, "_timestamp") || strings.HasSuffix(name, "_max") || strings.Contains(name, "generation")
	c.phase = float64(hash(b.Get("worker_name")+b.Get("model_instance_name")+b.Get("gpu_index"))%1000) / 1000
	return c
}

func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

// at returns the value after a fraction of the hour.
func (c *history) at(fraction float64, rng *rand.Rand) float64 {
	wave := math.Sin(2 * math.Pi * (6*fraction + c.phase))
	switch {
	case c.counter:
		v := c.value * (0.3 + 0.7*(fraction+0.02*wave)) // never decreases: the line is steeper than the wave
		if c.integer {
			v = math.Floor(v)
		}
		return v
	case c.constant:
		return c.value
	case c.integer:
		return math.Round(c.value * (1 + 0.3*wave + 0.05*rng.Float64()))
	}
	return math.Round(c.value*(1+0.3*wave+0.05*rng.Float64())*1e4) / 1e4
}

// writeFleet writes the samples of an hour that ends at end to a data directory.
func writeFleet(t *testing.T, dir string, all []history, end time.Time) (samples int) {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.WALCompression = compression.Snappy
	opts.NoLockfile = true
	db, err := tsdb.Open(dir, nil, nil, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	rng := rand.New(rand.NewPCG(1, 2))
	start := end.Add(-fleetHistory)
	for passed := time.Duration(0); passed < fleetHistory; passed += workerEvery {
		app := db.Appender(t.Context())
		fraction := passed.Seconds() / fleetHistory.Seconds()
		for i := range all {
			c := &all[i]
			if c.server && passed%serverEvery != 0 {
				continue
			}
			if c.ref, err = app.Append(c.ref, c.labels, start.Add(passed+c.offset).UnixMilli(), c.at(fraction, rng)); err != nil {
				t.Fatalf("%s: %v", c.labels, err)
			}
			samples++
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	return samples
}
