package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// stagedFailure is a failure, and what the doctor must say of it.
type stagedFailure struct {
	what    string // in the test's output
	query   string // of GET /v2/doctor
	finding string
	hop     string // the first broken one; empty: the finding breaks none
	do      string // a part of what is to be done
}

// doctorServer is a server whose doctor is asked.
type doctorServer struct {
	base, token string
}

func startDoctorServer(t *testing.T, more ...string) doctorServer {
	t.Helper()
	port, dir := programs.FreePort(t), t.TempDir()
	s := doctorServer{base: fmt.Sprintf("http://127.0.0.1:%d", port)}
	start(t, programs.Path(t, "stackscope"), append([]string{
		"server", "--data-dir", dir, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(programs.FreePort(t)),
	}, more...)...)
	programs.Eventually(t, time.Minute, "the server is ready", contains(s.base+"/readyz", "ok"))
	token, err := os.ReadFile(filepath.Join(dir, "worker-token"))
	if err != nil {
		t.Fatal(err)
	}
	s.token = strings.TrimSpace(string(token))
	return s
}

// startWorker starts a worker on loopback; env are additions to its environment.
func (s doctorServer) startWorker(t *testing.T, name string, env []string, more ...string) *programs.Program {
	t.Helper()
	return startWith(t, env, programs.Path(t, "stackscope-worker"), append([]string{
		"--server-url", s.base, "--token", s.token, "--data-dir", t.TempDir(), "--worker-name", name, "--discover", "none", "--worker-metrics-host", "127.0.0.1",
	}, more...)...)
}

func onLoopback(t *testing.T) []string {
	t.Helper()
	return []string{"--worker-ip", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(programs.FreePort(t))}
}

func (s doctorServer) examine(query string) (d wire.Doctor, err error) {
	body, err := programs.Get(s.base + "/v2/doctor?" + query)
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal([]byte(body), &d)
}

// firstBroken returns the first broken hop of an answer's ways, and the findings there.
func firstBroken(d *wire.Doctor) (hop string, findings []string) {
	for _, p := range d.Paths {
		for _, h := range p.Hops {
			if h.State == wire.HopBroken {
				return h.Hop, h.Findings
			}
		}
	}
	return "", nil
}

// verdict returns what is missing in an answer.
func (f *stagedFailure) verdict(d *wire.Doctor) error {
	i := slices.IndexFunc(d.Findings, func(found wire.DoctorFinding) bool { return found.ID == f.finding })
	text, _ := json.MarshalIndent(d, "", " ")
	if i < 0 {
		return fmt.Errorf("%s: there is no finding %s in %s", f.what, f.finding, text)
	}
	found := &d.Findings[i]
	hop, at := firstBroken(d)
	switch {
	case f.hop != "" && (hop != f.hop || found.Hop != f.hop || !slices.Contains(at, f.finding)):
		return fmt.Errorf("%s: the first broken hop is %q with %v, want %s with %s: %s", f.what, hop, at, f.hop, f.finding, text)
	case !strings.Contains(found.Do, f.do) || found.What == "" || found.Seen == "" || found.Docs == "":
		return fmt.Errorf("%s: %+v, want %q in what to do", f.what, found, f.do)
	case d.OK != (found.Severity == wire.FindingInfo) || d.Summary == "" || d.CheckedAt.IsZero():
		return fmt.Errorf("%s: ok is %t: %s", f.what, d.OK, text)
	case f.hop != "" && !strings.Contains(d.Summary, found.What):
		return fmt.Errorf("%s: the summary names another finding: %s", f.what, text)
	}
	return nil
}

// check waits until the doctor says what it must, and compares what the command prints.
func (s doctorServer) check(t *testing.T, f stagedFailure) {
	t.Helper()
	var d wire.Doctor
	programs.Eventually(t, 2*time.Minute, "the doctor sees: "+f.what, func() (err error) {
		if d, err = s.examine(f.query); err != nil {
			return err
		}
		return f.verdict(&d)
	})
	if d.Seconds > 15 {
		t.Errorf("%s: it took %.1f s", f.what, d.Seconds)
	}
	stdout, code := s.command(t, f.query)
	words := strings.Join(strings.Fields(stdout), " ")
	i := slices.IndexFunc(d.Findings, func(found wire.DoctorFinding) bool { return found.ID == f.finding })
	wantCode := 0
	if f.hop != "" || strings.Contains(stdout, "ERROR ") {
		wantCode = 3
	}
	if what := d.Findings[i].What; code != wantCode || !strings.Contains(strings.ToLower(words), strings.ToLower(what)) || !strings.Contains(words, f.do) {
		t.Errorf("%s: stackscope doctor ended with %d, want %d, with %q and %q in\n%s", f.what, code, wantCode, what, f.do, stdout)
	}
}

// checkAll checks failures side by side, because most of them show after a time.
func (s doctorServer) checkAll(t *testing.T, failures []stagedFailure) {
	t.Helper()
	t.Run("findings", func(t *testing.T) {
		for _, f := range failures {
			t.Run(f.finding, func(t *testing.T) {
				t.Parallel()
				s.check(t, f)
			})
		}
	})
}

// command runs `stackscope doctor` with the parameters of a query as flags.
func (s doctorServer) command(t *testing.T, query string) (stdout string, code int) {
	t.Helper()
	args := []string{"doctor", "--server-url", s.base}
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range values {
		args = append(args, "--"+name, value[0])
	}
	cmd := exec.CommandContext(t.Context(), programs.Path(t, "stackscope"), args...)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out) + string(exit.Stderr), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// switched serves one of two handlers.
type switched struct {
	handlers [2]http.Handler
	second   atomic.Bool
}

// ServeHTTP implements http.Handler.
func (s *switched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i := 0
	if s.second.Load() {
		i = 1
	}
	s.handlers[i].ServeHTTP(w, r)
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// textPage serves a metrics page and nothing else.
func textPage(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, text)
	}
}

// simulated returns an engine that was started some time ago.
func simulated(t *testing.T, model string, ago time.Duration) http.Handler {
	t.Helper()
	e, err := simengine.New(simengine.Options{Profile: simengine.ProfileVLLM, Model: model, Seed: 7, Start: time.Now().Add(-ago)})
	if err != nil {
		t.Fatal(err)
	}
	return e.Handler()
}

// deafListener accepts no connection: the kernel takes them, and nobody answers, as behind a firewall that drops packets.
func deafListener(t *testing.T, address string) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
}

// The doctor names the first hop at which an engine's samples stop, in the API and on the command line.
func TestDoctorOfEngines(t *testing.T) {
	if testing.Short() {
		t.Skip("starts programs")
	}
	t.Parallel()
	s := startDoctorServer(t)
	broken, _ := brokenEngines(t)
	renamed := &switched{handlers: [2]http.Handler{simulated(t, "llama-old", 10*time.Minute), simulated(t, "llama-new", 0)}}
	args := onLoopback(t)
	for name, address := range map[string]string{
		"good": engine(t, simengine.ProfileVLLM), "renamed": serve(t, renamed),
		"refused": broken["refused"].url, "hanging": broken["hanging"].url, "key": broken["password"].url, "html": broken["html"].url + ",runtime=vLLM",
		"sglang": serve(t, http.NotFoundHandler()) + ",runtime=SGLang,model=qwen3-8b",
		"silent": serve(t, textPage("# TYPE python_info gauge\npython_info{version=\"3.12\"} 1\nprocess_cpu_seconds_total 1\n")) + ",runtime=vLLM,model=qwen3-8b",
		"shared": serve(t, textPage("# TYPE ray_vllm_num_requests_running gauge\nray_vllm_num_requests_running{model_name=\"qwen\"} 1\nray_vllm_num_requests_running{model_name=\"llama\"} 2\n")),
		"novel":  serve(t, textPage("# TYPE vllm:requests_of_tomorrow gauge\nvllm:requests_of_tomorrow 1\n# TYPE vllm:tokens_of_tomorrow counter\nvllm:tokens_of_tomorrow_total 7\n")) + ",runtime=vLLM,version=99.0.0,model=qwen3-8b",
	} {
		args = append(args, "--engine", "url="+address+",instance="+name)
	}
	s.startWorker(t, "node-1", nil, args...)
	programs.Eventually(t, 2*time.Minute, "samples of the good engine arrive everywhere", func() error {
		d, err := s.examine("instance=good")
		if err != nil {
			return err
		}
		if hop, _ := firstBroken(&d); hop != "" || !d.OK || len(d.Paths) != 1 || len(d.Paths[0].Hops) != 9 {
			return fmt.Errorf("%+v", d)
		}
		for _, h := range d.Paths[0].Hops {
			if h.State != wire.HopOK {
				return fmt.Errorf("%+v", d)
			}
		}
		return nil
	})
	if out, code := s.command(t, "instance=good"); code != 0 {
		t.Errorf("of the good engine stackscope doctor ended with %d:\n%s", code, out)
	}
	programs.Eventually(t, 2*time.Minute, "samples of a model that shares its page with another arrive", func() error {
		d, err := s.examine("instance=shared-qwen")
		if hop, _ := firstBroken(&d); err != nil || hop != "" || !d.OK || len(d.Paths) != 1 || !slices.ContainsFunc(d.Paths[0].Hops, func(h wire.DoctorHop) bool { return h.Hop == wire.HopStorage && h.State == wire.HopOK }) {
			return fmt.Errorf("%+v, %w", d, err)
		}
		return nil
	})
	s.checkAll(t, []stagedFailure{
		{"the engine's port is closed", "instance=refused", "engine_refused", wire.HopEndpoint, "Look whether the engine runs"},
		{"the engine hangs", "instance=hanging", "engine_timeout", wire.HopEndpoint, "Restart an engine that hangs"},
		{"the engine wants a key", "instance=key", "engine_unauthorized", wire.HopEndpoint, "--engine url=http://USER:PASSWORD@HOST:PORT"},
		{"HTML in place of metrics", "instance=html", "engine_not_metrics", wire.HopPage, "URL"},
		{"SGLang without --enable-metrics", "instance=sglang", "engine_not_found", wire.HopEndpoint, "--enable-metrics"},
		{"vLLM without its metrics", "instance=silent", "engine_no_engine_metrics", wire.HopPage, "--disable-log-stats"},
		{"a version that the mapping does not know", "instance=novel", "mapping_unmapped", wire.HopMapping, "stackscope mapping unmapped novel"},
	})

	renamed.second.Store(true)
	programs.Eventually(t, 2*time.Minute, "the new name of the model", contains(s.base+"/v2/models", "llama-new"))
	s.check(t, stagedFailure{"a model has another name", "model=llama-old", "model_renamed", "", "llama-new"})

	postMapping(t, s.base+"/v2/metrics/config", "gpustack_metrics: {gpustack:num_requests_running: {type: gauge, description: Running.}}\n"+
		"runtime_mapping: {vLLM: {\"*\": {vllm:num_requests_running: gpustack:num_requests_running}}}\n")
	s.check(t, stagedFailure{"the mapping lacks a metric", "instance=good&metric=gpustack:num_requests_waiting", "metric_removed", wire.HopMapping, "extends: default"})
}

func postMapping(t *testing.T, address, body string) {
	t.Helper()
	resp, err := http.Post(address, "application/yaml", strings.NewReader(body)) //nolint:noctx // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", address, resp.Status, answer)
	}
}

// The same of workers: a firewall, a driver that hangs, two of one name, a wrong clock, a mapping that is not applied, a stop.
func TestDoctorOfWorkers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts programs")
	}
	t.Parallel()
	s := startDoctorServer(t)
	hidden := programs.FreePort(t)
	deafListener(t, fmt.Sprintf("127.0.0.9:%d", hidden))
	s.startWorker(t, "hidden", nil, "--worker-ip", "127.0.0.9", "--worker-metrics-port", strconv.Itoa(hidden), "--gpu-vendors", "none")

	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "ixsmi"), []byte("#!/bin/sh\nexec sleep 300\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.startWorker(t, "hung", []string{"PATH=" + tools + ":" + os.Getenv("PATH")}, append(onLoopback(t), "--gpu-vendors", "iluvatar")...)

	s.startWorker(t, "twin", nil, append(onLoopback(t), "--gpu-vendors", "none")...)
	stopped := s.startWorker(t, "stopped", nil, append(onLoopback(t), "--gpu-vendors", "none")...)
	joinFake(t, s, "fake", 90*time.Second)
	programs.Eventually(t, time.Minute, "all workers report", func() error {
		workers, err := programs.Get(s.base + "/v2/workers")
		if n := strings.Count(workers, `"state":"ready"`); err != nil || n != 5 {
			return fmt.Errorf("%d are ready, %w: %s", n, err, workers)
		}
		return nil
	})
	s.startWorker(t, "twin", nil, append(onLoopback(t), "--gpu-vendors", "none")...)
	stopped.Stop(syscall.SIGTERM)
	postMapping(t, s.base+"/v2/metrics/config?merge=1", "gpustack_metrics: {gpustack:of_tomorrow: {type: gauge, description: New.}}\nruntime_mapping: {vLLM: {\"*\": {vllm:of_tomorrow: gpustack:of_tomorrow}}}\n")

	s.checkAll(t, []stagedFailure{
		{"a firewall", "worker=hidden", "scrape_firewall", wire.HopScrape, fmt.Sprintf("allow TCP from the machine of Prometheus to 127.0.0.9:%d", hidden)},
		{"a worker was stopped", "worker=stopped", "worker_stopped", wire.HopWorker, "Start it again"},
		{"two workers of one name", "worker=twin", "worker_name_taken", "", "--worker-name"},
		{"a wrong clock", "worker=fake", "worker_clock", "", "Synchronise the clocks"},
		{"a mapping that a worker does not apply", "instance=fake-0", "mapping_refused", wire.HopMapping, "The worker's log says why"},
		{"a driver that hangs", "worker=hung", "gpu_driver_hung", wire.HopWorkerPage, "reset the GPU"},
	})
	d, err := s.examine("")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"scrape_firewall", "worker_stopped", "worker_name_taken", "mapping_refused", "gpu_driver_hung"} {
		if !slices.ContainsFunc(d.Findings, func(f wire.DoctorFinding) bool { return f.ID == id }) {
			t.Errorf("of the fleet there is no finding %s: %+v", id, d)
		}
	}
}

// A Prometheus of the operator's own that scrapes nothing is named, and so is that there is none.
func TestDoctorOfAnotherPrometheus(t *testing.T) {
	if testing.Short() {
		t.Skip("starts programs")
	}
	t.Parallel()
	prometheus := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/targets") {
			_, _ = io.WriteString(w, `{"status":"success","data":{"activeTargets":[],"droppedTargets":[]}}`)
			return
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	}))
	none := startDoctorServer(t, "--disable-builtin-observability")
	empty := startDoctorServer(t, "--disable-builtin-observability", "--prometheus-url", prometheus)
	for _, s := range []doctorServer{none, empty} {
		s.startWorker(t, "node-1", nil, append(onLoopback(t), "--gpu-vendors", "none", "--engine", "url="+engine(t, simengine.ProfileVLLM)+",instance=good")...)
		programs.Eventually(t, time.Minute, "the engine runs", contains(s.base+"/v2/model-instances", `"running"`))
	}
	empty.check(t, stagedFailure{"a Prometheus without targets", "instance=good", "external_scrapes_nothing", wire.HopTarget, "http_sd_configs"})
	none.check(t, stagedFailure{"nobody reads the targets", "instance=good", "discovery_not_read", wire.HopTarget, "http_sd_configs"})
}
