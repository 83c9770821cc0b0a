package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/tests/programs"
)

// playEngine is the environment variable that turns this test's own binary into an engine: profile and port.
const playEngine = "STACKSCOPE_E2E_PLAY_ENGINE"

// play serves a simulated engine until it is killed.
func play(what string) error {
	profile, port, _ := strings.Cut(what, " ")
	e, err := simengine.New(simengine.Options{Profile: profile, Model: "qwen3-8b", Seed: 7, Start: time.Now().Add(-10 * time.Minute)})
	if err != nil {
		return err
	}
	srv := &http.Server{Addr: "127.0.0.1:" + port, Handler: e.Handler(), ReadHeaderTimeout: time.Minute}
	return srv.ListenAndServe()
}

// engineProcess starts this test's binary as program with the command line of a real engine.
func engineProcess(t *testing.T, profile string, port int, program string, args ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), program)
	copyFile(t, os.Args[0], path)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", playEngine, profile, port), "HF_TOKEN="+canary)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// canary is a secret that must come out nowhere.
const canary = "sk-canary-5f2b1d"

// One agent, no configuration (other engines may run on the machine, too): it finds two engines by their command lines, names them, says which cards they hold and
// when one is gone.
func TestEnginesAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("starts programs")
	}
	metrics := fmt.Sprintf("http://127.0.0.1:%d/metrics", programs.FreePort(t))
	data := t.TempDir()
	worker := start(t, programs.Path(t, "stackscope"), "worker", "--fake-gpus", "8", "--data-dir", data, "--worker-name", "node-1",
		"--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", portOf(metrics), "--engine-retention", "4s")
	programs.Eventually(t, 30*time.Second, "worker", contains(metrics, "gpustack:worker_node_uptime_seconds"))

	first, second := programs.FreePort(t), programs.FreePort(t)
	vllm := engineProcess(t, simengine.ProfileVLLM, first, "vllm",
		"serve", "Qwen/Qwen3-8B", "--port", fmt.Sprint(first), "--served-model-name", "qwen3-8b", "--api-key", canary)
	engineProcess(t, simengine.ProfileSGLang, second, "python3",
		"-m", "sglang.launch_server", "--model-path", "/srv/"+canary+"/weights", fmt.Sprintf("--port=%d", second), "--enable-metrics")
	running := func(instance string, port int) string {
		return fmt.Sprintf(`model_name="qwen3-8b",model_instance_name="%s-node-1-%d"`, instance, port)
	}
	vllmLabels, sglangLabels := running("qwen3-8b", first), running("sglang", second)
	took := programs.Eventually(t, 30*time.Second, "both engines are found, named and read", func() error {
		page, err := programs.Get(metrics)
		if err != nil {
			return err
		}
		for _, want := range []string{
			`gpustack:runtime_scrape_success{cluster_name="default",worker_name="node-1",` + vllmLabels + `,runtime="vLLM"} 1`,
			`gpustack:runtime_scrape_success{cluster_name="default",worker_name="node-1",` + sglangLabels + `,runtime="SGLang"} 1`,
		} {
			if !strings.Contains(page, want) {
				return fmt.Errorf("no %s in\n%s", want, grep(page, "runtime_scrape_success"))
			}
		}
		return nil
	})
	t.Logf("found, named and read after %v", took)

	programs.Eventually(t, 30*time.Second, "cards are dealt to both", func() error {
		page, err := programs.Get(metrics)
		if err != nil {
			return err
		}
		for _, want := range []string{vllmLabels, sglangLabels} {
			if !strings.Contains(page, "gpustack:model_instance_gpu_memory_used_bytes{cluster_name=\"default\",worker_name=\"node-1\","+want) {
				return fmt.Errorf("no memory of %s in\n%s", want, grep(page, "model_instance_gpu"))
			}
		}
		if n := strings.Count(page, "\ngpustack:worker_node_gpu_temperature_celsius{"); n != 8 {
			return fmt.Errorf("%d cards", n)
		}
		return nil
	})

	if err := vllm.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = vllm.Wait()
	gone := `gpustack:model_instance_state_transitions_total{cluster_name="default",worker_name="node-1",` + vllmLabels + `,runtime="vLLM",from="running",to="unreachable"`
	programs.Eventually(t, 30*time.Second, "the killed engine is unreachable", contains(metrics, gone))
	programs.Eventually(t, 30*time.Second, "the killed engine is gone", func() error {
		page, err := programs.Get(metrics)
		if err != nil {
			return err
		}
		if strings.Contains(page, vllmLabels) {
			return fmt.Errorf("still there:\n%s", grep(page, vllmLabels))
		}
		if !strings.Contains(page, sglangLabels) {
			t.Fatal("the other engine went with it")
		}
		return nil
	})

	page, err := programs.Get(metrics)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(filepath.Join(data, "worker.json"))
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"page": page, "log": worker.Output(), "state": string(kept)} {
		if strings.Contains(text, canary) {
			t.Errorf("a secret of a command line came out in the worker's %s:\n%s", where, grep(text, canary))
		}
	}
}

func portOf(url string) string {
	_, rest, _ := strings.Cut(url, "127.0.0.1:")
	port, _, _ := strings.Cut(rest, "/")
	return port
}

// grep returns the lines of a page that hold one of the words.
func grep(page string, words ...string) string {
	var b strings.Builder
	for line := range strings.Lines(page) {
		for _, w := range words {
			if strings.Contains(line, w) && !strings.HasPrefix(line, "#") {
				b.WriteString(line)
				break
			}
		}
	}
	return b.String()
}
