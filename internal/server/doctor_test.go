package server_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

func (r running) doctor(t *testing.T, query string) (d wire.Doctor) {
	t.Helper()
	status, _, body := get(t, r.URL()+"/v2/doctor?"+query)
	if err := json.Unmarshal([]byte(body), &d); err != nil || status != http.StatusOK {
		t.Fatalf("%d %v %s", status, err, body)
	}
	return d
}

func findingIDs(d wire.Doctor) (ids []string) {
	for _, f := range d.Findings {
		ids = append(ids, f.ID)
	}
	return ids
}

// hopStates returns the states of the way of a worker's own samples.
func hopStates(d wire.Doctor) map[string]string {
	states := map[string]string{}
	for _, p := range d.Paths {
		if p.InstanceID != 0 {
			continue
		}
		for _, h := range p.Hops {
			states[h.Hop] = h.State
		}
	}
	return states
}

// joinAt registers a worker whose page is served at an address, with an engine that runs, and lets it report until the test ends.
func (r running) joinAt(t *testing.T, name, address string) wire.RegisterResponse {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, _ := strconv.Atoi(port)
	c := newClient(t, r.URL(), r.WorkerToken())
	joined, err := c.Register(t.Context(), wire.RegisterRequest{UUID: "uuid-" + name, Name: name, Address: "127.0.0.1", MetricsPort: number, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	report := func() error {
		_, err := c.WithToken(joined.Credential).Report(t.Context(), joined.WorkerID, wire.ReportRequest{Instances: []wire.InstanceReport{
			{Name: name + "-0", Model: "qwen", URL: "http://127.0.0.1:8000", Runtime: "vLLM", RuntimeVersion: "0.11.0", State: fleet.InstanceRunning},
		}})
		return err
	}
	if err := report(); err != nil {
		t.Fatal(err)
	}
	var reporting sync.WaitGroup
	reporting.Go(func() {
		for t.Context().Err() == nil {
			backoff.Sleep(t.Context(), time.Second)
			_ = report() // the test may be ending
		}
	})
	t.Cleanup(reporting.Wait)
	return joined
}

// The doctor sees the embedded Prometheus: what it scrapes, what it stores, and what its dashboards list.
func TestDoctorAndTheEmbeddedPrometheus(t *testing.T) {
	o := options(t)
	o.DisableBuiltinObservability = false
	s := start(t, o)
	var id string
	worker := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		own := `worker_id="` + id + `",worker_name="well"`
		_, _ = io.WriteString(w, "gpustack:worker_node_uptime_seconds{"+own+"} 1\ngpustack:worker_node_cpu_cores{"+own+"} 1\n"+
			"gpustack:collector_success{"+own+`,collector="gpu_nvidia"} 0`+"\n")
	}))
	well := s.joinAt(t, "well", worker.Listener.Addr().String())
	id = strconv.FormatInt(well.WorkerID, 10)
	worker.Start()
	t.Cleanup(worker.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	s.joinAt(t, "refusing", closed.Listener.Addr().String())
	closed.Close()

	var d wire.Doctor
	for begun := time.Now(); time.Since(begun) < 2*time.Minute; time.Sleep(100 * time.Millisecond) {
		if d = s.doctor(t, "worker=well"); hopStates(d)["storage"] == wire.HopOK && slices.Contains(findingIDs(d), "collector_failed") {
			break
		}
	}
	if !slices.Contains(findingIDs(d), "collector_failed") || hopStates(d)["scrape"] != wire.HopOK {
		t.Errorf("of a worker with a collector that fails: %+v", d)
	}
	for begun := time.Now(); time.Since(begun) < 2*time.Minute; time.Sleep(100 * time.Millisecond) {
		if d = s.doctor(t, "subject=refusing"); hopStates(d)["scrape"] == wire.HopBroken {
			break
		}
	}
	if ids := findingIDs(d); !slices.Contains(ids, "scrape_refused") || slices.Contains(ids, "storage_nothing") {
		t.Errorf("of a worker whose port is closed: %+v", d)
	}
	if all := findingIDs(s.doctor(t, "")); !slices.Contains(all, "scrape_refused") || !slices.Contains(all, "collector_failed") {
		t.Errorf("of the fleet: %v", all)
	}
	if strings.Contains(d.Summary, o.DataDir) {
		t.Errorf("a path is told: %s", d.Summary)
	}
}

// Without Prometheus the doctor asks who reads the targets, and with one of the user's own what it scrapes.
func TestDoctorAndAnotherPrometheus(t *testing.T) {
	o := options(t)
	s := start(t, o)
	s.joinAt(t, "well", "127.0.0.1:10151")
	if ids := findingIDs(s.doctor(t, "")); !slices.Contains(ids, "discovery_not_read") || !slices.Contains(ids, "console_no_prometheus") {
		t.Errorf("nobody reads the targets: %v", ids)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.metricsURL()+"/metrics/targets", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "Prometheus/3.5.0")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if d := s.doctor(t, ""); slices.Contains(findingIDs(d), "discovery_not_read") {
		t.Errorf("a Prometheus has read them: %+v", d.Findings)
	}

	// One that has no targets and no samples.
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/targets"):
			_, _ = io.WriteString(w, `{"status":"success","data":{"activeTargets":[]}}`)
		case r.FormValue("query") == "time()":
			now := strconv.FormatFloat(float64(time.Now().UnixMilli())/1000, 'f', 3, 64)
			_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"scalar","result":[`+now+`,"`+now+`"]}}`)
		default:
			_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
		}
	}))
	t.Cleanup(empty.Close)
	o = options(t)
	o.PrometheusURL = strings.Replace(empty.URL, "http://", "http://user:geheim@", 1)
	s = start(t, o)
	s.joinAt(t, "well", "127.0.0.1:10151")
	d := s.doctor(t, "worker=well")
	if ids := findingIDs(d); !slices.Contains(ids, "external_scrapes_nothing") {
		t.Errorf("its own Prometheus scrapes nothing: %+v", d)
	}
	if text, _ := json.Marshal(d); strings.Contains(string(text), "geheim") {
		t.Errorf("a password is told: %s", text)
	}
	empty.Close()
	if ids := findingIDs(s.doctor(t, "")); !slices.Contains(ids, "prometheus_not_ready") {
		t.Errorf("its own Prometheus does not answer: %v", ids)
	}
}
