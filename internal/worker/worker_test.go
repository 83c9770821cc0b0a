package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

func TestWorkerAlone(t *testing.T) {
	o := options(t)
	o.Engines = []engine.Declaration{{URL: vllm(t)}, {URL: "http://127.0.0.1:1", Instance: "down"}}
	w := run(t, o)
	// The first scrape is right already.
	page := w.scrape(t, "/metrics")
	got := lines(page, "gpustack:num_requests_running{")
	if len(got) != 1 || !strings.HasPrefix(got[0], `gpustack:num_requests_running{cluster_name="default",worker_name="node-1",model_name="qwen",model_instance_name="node-1-`) || !strings.HasSuffix(got[0], `",runtime="vLLM",engine="0"} 3.0`) {
		t.Errorf("got %q", got)
	}
	success := lines(page, "gpustack:runtime_scrape_success{")
	if len(success) != 2 || !strings.HasSuffix(success[0], " 1") || success[1] != `gpustack:runtime_scrape_success{cluster_name="default",worker_name="node-1",model_instance_name="down"} 0` {
		t.Errorf("got %q", success)
	}
	eventually(t, "host families", func() bool {
		return len(lines(w.scrape(t, "/metrics"), "gpustack:worker_node_memory_total_bytes{")) == 1
	})
	if got := lines(w.scrape(t, "/metrics/raw/"), "vllm:num_requests_running{"); len(got) != 1 {
		t.Errorf("raw: got %q", got)
	}
	for range 3 {
		w.scrape(t, "/metrics")
	}
	if n := strings.Count(w.log.String(), "engine scrape failed"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(o.DataDir, "worker.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("worker.json: %v, %v", info, err)
	}
}

func TestWorkerWithServer(t *testing.T) {
	s := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token, o.Labels, o.Cluster = s.URL, joinToken, map[string]string{"rack": "4"}, "lab"
	o.Engines = []engine.Declaration{{URL: vllm(t), Instance: "q-0"}}
	w := run(t, o)

	eventually(t, "report of a running engine", func() bool {
		r, _ := s.lastReport()
		return len(r.Instances) == 1 && r.Instances[0].State == fleet.InstanceRunning && r.Instances[0].RuntimeVersion != ""
	})
	r, _ := s.lastReport()
	if r.Instances[0].Since == 0 {
		t.Error("the time at which the state began is not reported")
	}
	r.Instances[0].Since = 0
	want := wire.InstanceReport{Name: "q-0", Model: "qwen", URL: o.Engines[0].URL, Runtime: "vLLM", RuntimeVersion: "0.11.0", State: fleet.InstanceRunning}
	if diff := cmp.Diff(want, r.Instances[0]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	s.mu.Lock()
	reg := s.registered[0]
	s.mu.Unlock()
	if reg.Name != "node-1" || reg.Address != "127.0.0.1" || reg.Cluster != "lab" || reg.Labels["rack"] != "4" || reg.UUID == "" || fmt.Sprint("127.0.0.1:", reg.MetricsPort) != w.Addr() {
		t.Errorf("registered as %+v", reg)
	}
	eventually(t, "ids", func() bool {
		got := lines(w.scrape(t, "/metrics"), "gpustack:num_requests_running{")
		return len(got) == 1 && got[0] == `gpustack:num_requests_running{cluster_id="2",cluster_name="lab",worker_id="7",worker_name="node-1",model_id="5",model_name="qwen",model_instance_id="40",model_instance_name="q-0",runtime="vLLM",engine="0"} 3.0`
	})
	s.mu.Lock()
	if s.watched[0] != "-1" {
		t.Errorf("first stream asked for generation %s", s.watched[0])
	}
	s.mu.Unlock()
}

func TestMappingIsInForceAndReportedAtOnce(t *testing.T) {
	s := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = s.URL, joinToken
	o.ReportInterval = time.Hour // what is reported after the first is reported because it changed
	o.Engines = []engine.Declaration{{URL: vllm(t)}}
	w := run(t, o)
	eventually(t, "a first report", func() bool { _, n := s.lastReport(); return n > 0 })
	eventually(t, "a stream", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.watched) > 0 })

	s.publish(wire.MappingEvent{Generation: 3, Document: json.RawMessage(mineJSON)})
	eventually(t, "report of generation 3", func() bool { r, _ := s.lastReport(); return r.AppliedGeneration == 3 })
	page := w.scrape(t, "/metrics")
	if len(lines(page, "gpustack:mine{")) != 1 || len(lines(page, "gpustack:num_requests_running{")) != 0 {
		t.Errorf("the mapping is not in force:\n%s", page)
	}
	if got := lines(page, "gpustack:metrics_config_applied_generation{"); len(got) != 1 || !strings.HasSuffix(got[0], " 3") {
		t.Errorf("got %q", got)
	}

	s.publish(wire.MappingEvent{Generation: 4, Document: json.RawMessage(`{"bad":1}`)})
	eventually(t, "a log line", func() bool { return strings.Contains(w.log.String(), "metrics mapping cannot be applied") })
	if got := lines(w.scrape(t, "/metrics"), "gpustack:mine{"); len(got) != 1 {
		t.Errorf("after a bad mapping: got %q", got)
	}
	s.publish(wire.MappingEvent{Generation: 5, Default: true})
	eventually(t, "report of generation 5", func() bool { r, _ := s.lastReport(); return r.AppliedGeneration == 5 })
}

// GPUStack's worker falls back to the built-in mapping when its server is away.
func TestGPUStackBug02_WithoutServerTheLastMappingStays(t *testing.T) {
	s := newFakeServer(t)
	s.publish(wire.MappingEvent{Generation: 3, Document: json.RawMessage(mineJSON)})
	o := options(t)
	o.ServerURL, o.Token = s.URL, joinToken
	o.Engines = []engine.Declaration{{URL: vllm(t), Instance: "q-0"}}
	w := run(t, o)
	const mine = `gpustack:mine{cluster_id="2",cluster_name="lab",worker_id="7",worker_name="node-1",model_id="5",model_name="qwen",model_instance_id="40",model_instance_name="q-0",runtime="vLLM",engine="0"} 3.0`
	has := func(w running) func() bool {
		return func() bool {
			got := lines(w.scrape(t, "/metrics"), "gpustack:mine{")
			return len(got) == 1 && got[0] == mine
		}
	}
	eventually(t, "the custom mapping", has(w))
	eventually(t, "ids on disk", func() bool {
		data, err := os.ReadFile(filepath.Join(o.DataDir, "worker.json"))
		return err == nil && strings.Contains(string(data), `"instance_id": 40`)
	})
	s.stop()
	if !has(w)() {
		t.Errorf("with the server away: %q", lines(w.scrape(t, "/metrics"), "gpustack:mine{"))
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	again := run(t, o) // and it starts without the server
	if !has(again)() {
		t.Errorf("started without the server: %q", lines(again.scrape(t, "/metrics"), "gpustack:"))
	}
	eventually(t, "a log line", func() bool { return strings.Contains(again.log.String(), "request to the server failed") })
	time.Sleep(1500 * time.Millisecond) // several more attempts
	if n := strings.Count(again.log.String(), "request to the server failed"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// GPUStack's worker asks its server for all instances on each scrape.
func TestGPUStackBug15_ScrapeDoesNotCallTheServer(t *testing.T) {
	s := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = s.URL, joinToken
	o.Engines = []engine.Declaration{{URL: vllm(t)}}
	w := run(t, o)
	eventually(t, "ids", func() bool { return strings.Contains(w.scrape(t, "/metrics"), `model_instance_id="40"`) })
	eventually(t, "quiet", func() bool { n := s.count(); time.Sleep(100 * time.Millisecond); return s.count() == n })
	before := s.count()
	for range 20 {
		w.scrape(t, "/metrics")
		w.scrape(t, "/metrics/raw")
	}
	if n := s.count() - before; n != 0 {
		t.Errorf("40 scrapes made %d requests to the server", n)
	}
}

func TestWorkerThatWasForgottenRegistersAgain(t *testing.T) {
	s := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token, o.ReportInterval = s.URL, joinToken, 50*time.Millisecond
	run(t, o)
	eventually(t, "a report", func() bool { _, n := s.lastReport(); return n > 0 })
	s.mu.Lock()
	s.forget = true
	s.mu.Unlock()
	eventually(t, "a second registration", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.registered) == 2 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.registered[0].UUID != s.registered[1].UUID {
		t.Error("it came as another machine")
	}
}

func TestWrongTokenAtTheStartEndsTheWorker(t *testing.T) {
	s := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = s.URL, "wrong"
	w, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	err = w.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "worker-token") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestSettingsThatCannotWork(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	port := taken.Addr().(*net.TCPAddr).Port
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Options){
		"port " + fmt.Sprint(port) + " is taken by another program: stop that program or choose another port with --worker-metrics-port": func(o *Options) { o.MetricsPort = port },
		"data directory " + file + " cannot be made":          func(o *Options) { o.DataDir = file },
		"--worker-metrics-port 70000":                         func(o *Options) { o.MetricsPort = 70000 },
		"--token-file is mi":                                  func(o *Options) { o.ServerURL = "http://127.0.0.1:1" },
		"without --server-url":                                func(o *Options) { o.Token = "x" },
		`server URL "127.0.0.1": give it as http://HOST:PORT`: func(o *Options) { o.ServerURL, o.Token = "127.0.0.1", "x" },
		"at most 512":                                         func(o *Options) { o.Engines = make([]engine.Declaration, 513) },
		`engine 1: key "url" is mis`:                          func(o *Options) { o.Engines = make([]engine.Declaration, 1) },
		"--data-dir is empty":                                 func(o *Options) { o.DataDir = "" },
	} {
		o := options(t)
		change(&o)
		w, err := New(t.Context(), o)
		if err == nil {
			_ = w.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestWithoutMetricsTheWorkerStillReports(t *testing.T) {
	s := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token, o.DisableWorkerMetrics = s.URL, joinToken, true
	o.Engines = []engine.Declaration{{URL: vllm(t)}}
	w := run(t, o)
	eventually(t, "a report", func() bool { r, _ := s.lastReport(); return len(r.Instances) == 1 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.Addr() != "" || s.registered[0].MetricsPort != 0 {
		t.Errorf("address %q, reported port %d", w.Addr(), s.registered[0].MetricsPort)
	}
}

func TestEngineThatNeverAnsweredIsReported(t *testing.T) {
	s := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = s.URL, joinToken
	o.Engines = []engine.Declaration{
		{URL: "http://127.0.0.1:1"}, {URL: "http://127.0.0.1:2", Model: "m", Instance: "named"}, {URL: "http://127.0.0.1:3", Role: fleet.RoleRouter},
	}
	w := run(t, o)
	eventually(t, "a report", func() bool { r, _ := s.lastReport(); return len(r.Instances) == 3 })
	r, _ := s.lastReport()
	for i, want := range []wire.InstanceReport{
		// An older server would refuse the report if neither model nor runtime were in it.
		{Name: "node-1-1", Runtime: "unknown"}, {Name: "named", Model: "m"}, {Name: "node-1-3", Runtime: "unknown", Role: fleet.RoleRouter},
	} {
		in := r.Instances[i]
		if in.Name != want.Name || in.Model != want.Model || in.Runtime != want.Runtime || in.Role != want.Role || in.State != fleet.InstanceStarting ||
			!strings.Contains(in.StateMessage, "connection refused") || in.Since == 0 {
			t.Errorf("got %+v, want %+v", in, want)
		}
	}
	for _, in := range w.instances.Reported() { // what the server would refuse is logged
		if fault := fleet.CheckInstance(&in); fault != nil {
			t.Errorf("%s is to be reported: %v", in.Name, fault)
		}
	}
}

// Show 8, over real connections: one hanging engine among four. A scrape with little time is answered while one with more time
// still waits for the engine.
func TestHangingEngineAmongFour(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, vllmPage)
	}))
	t.Cleanup(hanging.Close)
	freed := sync.OnceFunc(func() { close(release) })
	t.Cleanup(freed)
	o := options(t)
	o.Engines = []engine.Declaration{{URL: vllm(t)}, {URL: hanging.URL, Instance: "hangs"}, {URL: vllm(t)}, {URL: vllm(t)}}
	w := run(t, o)
	scrape := func(seconds string) chan string {
		page := make(chan string, 1)
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.Addr()+"/metrics", nil)
			req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", seconds)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				page <- err.Error()
				return
			}
			body, err := io.ReadAll(resp.Body)
			page <- string(body) + errorText(errors.Join(err, resp.Body.Close()))
		}()
		return page
	}
	patient, hasty := scrape("25"), scrape("1")
	check := func(page, verdict string, engines int) {
		t.Helper()
		if got := lines(page, "gpustack:num_requests_running{"); len(got) != engines {
			t.Errorf("got %q of\n%s", got, page)
		}
		success := lines(page, "gpustack:runtime_scrape_success{")
		if len(success) != 4 || !strings.HasSuffix(success[1], `model_instance_name="hangs"`+verdict) {
			t.Errorf("got %q, want %s", success, verdict)
		}
	}
	check(<-hasty, "} 0", 3)
	select {
	case page := <-patient:
		t.Errorf("the scrape with more time did not wait for the engine:\n%s", page)
	default:
		freed()
		check(<-patient, `,runtime="vLLM"} 1`, 4)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAddress(t *testing.T) {
	for want, o := range map[string]Options{
		"gpu-7":     {Address: "gpu-7", MetricsHost: "10.0.0.1"},
		"10.0.0.1":  {MetricsHost: "10.0.0.1", ServerURL: "http://127.0.0.1"},
		"127.0.0.1": {MetricsHost: "127.0.0.1"},
		"::1":       {MetricsHost: "::1"},
	} {
		if got := (&Worker{opts: o}).updateAddress(t.Context()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
