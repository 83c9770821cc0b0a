package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// curl runs one of the specification's commands, as it stands there but for host, port and file name.
func curl(t *testing.T, args ...string) (body string, status int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "-w", "\n%{http_code}"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %v: %v: %s", args, err, out)
	}
	text := string(out)
	cut := strings.LastIndex(text, "\n")
	status, err = strconv.Atoi(text[cut+1:])
	if err != nil {
		t.Fatalf("curl printed %q", text)
	}
	return text[:cut], status
}

// setup is a server and a worker with one engine, as two processes that share nothing but HTTP.
type setup struct {
	t                                *testing.T
	port, metricsPort, workerMetrics int
	serverDir, workerDir, engineURL  string
	server, worker                   *programs.Program
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	s := &setup{
		t: t, port: programs.FreePort(t), metricsPort: programs.FreePort(t), workerMetrics: programs.FreePort(t),
		serverDir: t.TempDir(), workerDir: t.TempDir(), engineURL: engine(t, "vllm"),
	}
	s.startServer()
	s.startWorker()
	return s
}

func (s *setup) api(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path)
}

func (s *setup) workerPage() string {
	return fmt.Sprintf("http://127.0.0.1:%d/metrics", s.workerMetrics)
}

func (s *setup) startServer() {
	s.t.Helper()
	s.server = start(s.t, programs.Path(s.t, "stackscope"), "server", "--data-dir", s.serverDir, "--host", "127.0.0.1",
		"--port", strconv.Itoa(s.port), "--metrics-port", strconv.Itoa(s.metricsPort))
	programs.Eventually(s.t, 20*time.Second, "the server is ready", contains(s.api("/readyz"), "ok"))
}

func (s *setup) startWorker() {
	s.t.Helper()
	token, err := os.ReadFile(filepath.Join(s.serverDir, "worker-token"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.worker = start(s.t, programs.Path(s.t, "stackscope-worker"), "--server-url", s.api(""), "--token", strings.TrimSpace(string(token)),
		"--data-dir", s.workerDir, "--worker-ip", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(s.workerMetrics),
		"--discover", "none", "--engine", "url="+s.engineURL+",model=qwen3-8b,instance=qwen3-8b-0")
	programs.Eventually(s.t, 20*time.Second, "the worker has its page", contains(s.workerPage(), "gpustack:runtime_scrape_success"))
}

// customMapping is a document in GPUStack's own form, with a unified family that the default doesn't have.
const customMapping = `{
  "gpustack_metrics": {
    "gpustack:num_requests_running": {"type": "gauge", "description": "Running."},
    "gpustack:my_running": {"type": "gauge", "description": "Running, by my name."},
    "gpustack:prompt_tokens": {"type": "counter", "description": "Prompt tokens."}
  },
  "runtime_mapping": {
    "vLLM": {"*": {"vllm:num_requests_running": "gpustack:my_running", "vllm:prompt_tokens": "gpustack:prompt_tokens"}}
  }
}`

func TestMappingReachesWorkersAndSurvives(t *testing.T) {
	s := newSetup(t)
	programs.Eventually(t, 30*time.Second, "the worker registered", contains(s.workerPage(), `worker_id="`))
	programs.Eventually(t, 30*time.Second, "the default mapping is in use", contains(s.workerPage(), "gpustack:num_requests_running{"))

	file := filepath.Join(t.TempDir(), "custom_metrics_config.json")
	if err := os.WriteFile(file, []byte(customMapping), 0o600); err != nil {
		t.Fatal(err)
	}
	body, status := curl(t, s.api("/v2/metrics/config"))
	if status != 200 || !strings.Contains(body, `"runtime_mapping"`) {
		t.Fatalf("GET config: %d %.200s", status, body)
	}
	body, status = curl(t, "-X", "POST", s.api("/v2/metrics/config"), "-H", "Content-Type: application/json", "-d", "@"+file)
	if status != 200 || !strings.Contains(body, `"status":"ok"`) {
		t.Fatalf("POST config: %d %s", status, body)
	}
	took := programs.Eventually(t, 30*time.Second, "the worker applies the new mapping", contains(s.workerPage(), "gpustack:my_running{"))
	t.Logf("from POST to a worker page in the new names: %v", took)
	page, err := programs.Get(s.workerPage())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page, "gpustack:num_requests_running{") || !strings.Contains(page, "gpustack:prompt_tokens_total{") {
		t.Error("the page is not what the custom mapping says")
	}
	programs.Eventually(t, 30*time.Second, "the applied generation is told", contains(s.workerPage(), "gpustack:metrics_config_applied_generation{"))

	body, status = curl(t, "-X", "POST", s.api("/v2/metrics/default-config"))
	if status != 200 || !strings.Contains(body, "vllm:time_to_first_token_seconds") {
		t.Fatalf("POST default-config: %d %.200s", status, body)
	}

	t.Log("kill -9 of the server: the worker goes on with the custom mapping, also after a kill -9 of its own")
	s.server.Stop(syscall.SIGKILL)
	if err := contains(s.workerPage(), "gpustack:my_running{")(); err != nil {
		t.Error(err)
	}
	s.worker.Stop(syscall.SIGKILL)
	s.startWorker()
	if err := contains(s.workerPage(), "gpustack:my_running{")(); err != nil {
		t.Error(err)
	}
	t.Log("the server comes back with the custom mapping")
	s.startServer()
	body, status = curl(t, s.api("/v2/metrics/config"))
	if status != 200 || !strings.Contains(body, "gpustack:my_running") {
		t.Fatalf("GET config after kill -9: %d %.200s", status, body)
	}
}

func TestSixFaultsAtOnce(t *testing.T) {
	s := newSetup(t)
	before, _ := curl(t, s.api("/v2/metrics/config"))
	const document = `{
  "gpustack_metrics": {
    "gpustack:num_requests_running": {"type": "gague", "description": "Running."},
    "gpustack:bad name": {"type": "gauge", "description": "Space."},
    "gpustack:prompt_tokens": {"type": "counter", "description": null}
  },
  "runtime_mapping": {
    "vLLM": {
      "*": {"vllm:prompt_tokens": "gpustack:promt_tokens"},
      "<<0.9": {"vllm:prompt_tokens": "gpustack:prompt_tokens"}
    }
  },
  "colour": "red"
}`
	file := filepath.Join(t.TempDir(), "faulty.json")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	body, status := curl(t, "-X", "POST", s.api("/v2/metrics/config"), "-H", "Content-Type: application/json", "-d", "@"+file)
	if status != 422 {
		t.Fatalf("status %d, want 422: %s", status, body)
	}
	var problem struct {
		Errors []struct{ Pointer, Detail string }
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"/gpustack_metrics/gpustack:num_requests_running/type": false,
		"/gpustack_metrics/gpustack:bad name":                  false,
		"/gpustack_metrics/gpustack:prompt_tokens/description": false,
		"/runtime_mapping/vLLM/*/vllm:prompt_tokens":           false,
		"/runtime_mapping/vLLM/<<0.9":                          false,
		"/colour":                                              false,
	}
	for _, e := range problem.Errors {
		if _, ok := want[e.Pointer]; !ok {
			t.Errorf("unexpected fault at %s: %s", e.Pointer, e.Detail)
		}
		want[e.Pointer] = true
		t.Logf("%s: %s", e.Pointer, e.Detail)
	}
	for pointer, seen := range want {
		if !seen {
			t.Errorf("no fault at %s", pointer)
		}
	}
	if after, _ := curl(t, s.api("/v2/metrics/config")); after != before {
		t.Error("the mapping in force changed")
	}
}
