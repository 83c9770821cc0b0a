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

// newerProgram builds the server as a newer version would be: its built-in mapping has one more entry.
func newerProgram(t *testing.T) string {
	t.Helper()
	const config = "../../configs/metrics_config.yaml"
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	const metrics, native = "gpustack_metrics:\n", "      vllm:num_requests_running: "
	newer := strings.Replace(string(text), metrics, metrics+"  gpustack:step_tokens:\n    type: histogram\n", 1)
	newer = strings.Replace(newer, native, "      vllm:iteration_tokens_total: gpustack:step_tokens\n"+native, 1)
	if strings.Count(newer, "gpustack:step_tokens") != 2 {
		t.Fatalf("%s has no place for the new entry", config)
	}
	dir := t.TempDir()
	path, replaced := filepath.Join(dir, "metrics_config.yaml"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	absolute, err := filepath.Abs(config)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {absolute: path}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(replaced, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "stackscope")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", replaced, "-o", program, "github.com/stackscope/stackscope/cmd/stackscope").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// A new built-in entry reaches workers under an overlay when the server is upgraded. The worker stays as it is: it has an older built-in
// mapping, and no document with extends ever comes to it.
func TestUpgradeBringsNewBuiltInEntriesUnderAnOverlay(t *testing.T) {
	newer := newerProgram(t)
	s := newSetup(t)
	file := filepath.Join(t.TempDir(), "overlay.yaml")
	const document = "extends: default\ngpustack_metrics:\n  acme:running: {type: gauge}\nruntime_mapping:\n  vllm:\n    \"*\":\n" +
		"      vllm:num_requests_running: [gpustack:num_requests_running, acme:running]\n      vllm:num_requests_waiting: null\n"
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	body, status := curl(t, "-X", "POST", s.api("/v2/metrics/config"), "-H", "Content-Type: application/yaml", "--data-binary", "@"+file)
	if status != 200 || !strings.Contains(body, `"generation":1`) {
		t.Fatalf("POST config: %d %s", status, body)
	}
	programs.Eventually(t, 30*time.Second, "the worker applies the overlay", contains(s.workerPage(), "acme:running{"))
	page, err := programs.Get(s.workerPage())
	if err != nil {
		t.Fatal(err)
	}
	for part, want := range map[string]bool{
		"gpustack:num_requests_running{": true, "gpustack:prompt_tokens_total{": true, "gpustack:num_requests_waiting{": false, "gpustack:step_tokens": false,
	} {
		if strings.Contains(page, part) != want {
			t.Errorf("before the upgrade: %s is on the page: %t", part, !want)
		}
	}
	generation := func() string {
		t.Helper()
		out, status := curl(t, "-D", "-", "-o", "/dev/null", s.api("/v2/metrics/config"))
		for line := range strings.Lines(out) {
			if name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); strings.EqualFold(name, "ETag") {
				return value
			}
		}
		t.Fatalf("GET config: %d, no ETag in %s", status, out)
		return ""
	}
	before := generation()

	s.server.Stop(syscall.SIGTERM)
	s.server = start(t, newer, "server", "--data-dir", s.serverDir, "--host", "127.0.0.1", "--port", strconv.Itoa(s.port), "--metrics-port", strconv.Itoa(s.metricsPort))
	programs.Eventually(t, 30*time.Second, "the newer server is ready", contains(s.api("/readyz"), "ok"))
	took := programs.Eventually(t, 60*time.Second, "the worker applies the new built-in entry", contains(s.workerPage(), "gpustack:step_tokens_bucket{"))
	t.Logf("from the newer server's start to its entry on the worker's page: %v", took)
	page, err = programs.Get(s.workerPage())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page, "acme:running{") || strings.Contains(page, "gpustack:num_requests_waiting{") {
		t.Error("the upgrade lost the overlay's own changes")
	}
	if after := generation(); after != before || after != `"1"` {
		t.Errorf("generation %s before the upgrade, %s after it", before, after)
	}
	programs.Eventually(t, 30*time.Second, "the worker has the same generation", func() error {
		page, err := programs.Get(s.workerPage())
		if err != nil {
			return err
		}
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "gpustack:metrics_config_applied_generation") && strings.HasSuffix(strings.TrimSpace(line), " 1") {
				return nil
			}
		}
		return fmt.Errorf("the page does not say that generation 1 is applied")
	})
	body, status = curl(t, s.api("/v2/metrics/config"))
	if status != 200 || !strings.HasPrefix(body, `{"extends":"default",`) {
		t.Errorf("GET config after the upgrade: %d %.100s", status, body)
	}

	t.Log("back to the older server: the entry goes, the overlay stays")
	s.server.Stop(syscall.SIGTERM)
	s.startServer()
	programs.Eventually(t, 60*time.Second, "the worker follows", func() error {
		page, err := programs.Get(s.workerPage())
		if err == nil && strings.Contains(page, "gpustack:step_tokens_bucket{") {
			err = fmt.Errorf("the worker still has the newer server's entry")
		}
		return err
	})
}
