package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// oldData holds the data directories of a server and a worker of revision 8d30d44, the database compressed. Four other workers with
// two instances each were registered before node-1, so that no id is the one that a new database would give. The third posted mapping
// renames vllm:num_requests_running, and the worker had two simulated GPUs.
const oldData = "testdata/8d30d44"

// oldServerURL is where the server was when its worker wrote worker.json.
const oldServerURL = "http://127.0.0.1:28762"

// copyOldData copies both directories and returns where they are. The worker's one says that the server is at url.
func copyOldData(t *testing.T, url string) (serverDir, workerDir string) {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(oldData, "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(file, oldData)
		if plain, packed := strings.CutSuffix(name, ".gz"); packed {
			name = plain
			unpack, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if data, err = io.ReadAll(unpack); err != nil {
				t.Fatal(err)
			}
		}
		if filepath.Base(name) == "worker.json" {
			data = bytes.ReplaceAll(data, []byte(oldServerURL), []byte(url))
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "server"), filepath.Join(dir, "worker")
}

// An upgrade keeps everything that has an id or a name: worker, model and instance, the posted mapping and the known GPUs.
func TestOldDataDirectories(t *testing.T) {
	port, workerMetrics := programs.FreePort(t), programs.FreePort(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	page := fmt.Sprintf("http://127.0.0.1:%d/metrics", workerMetrics)
	serverDir, workerDir := copyOldData(t, base)

	server := start(t, programs.Path(t, "stackscope"), "server", "--data-dir", serverDir, "--host", "127.0.0.1", "--port", strconv.Itoa(port),
		"--disable-metrics", "--disable-builtin-observability")
	server.AwaitURL(time.Minute, base+"/readyz")
	before, err := listed[wire.Worker](base + "/v2/workers")
	if err != nil || len(before) != 5 {
		t.Fatalf("%d workers, %v", len(before), err)
	}
	document, err := programs.Get(base + "/v2/metrics/config")
	if err != nil {
		t.Fatal(err)
	}
	var mapping struct {
		Runtimes map[string]map[string]map[string]string `json:"runtime_mapping"`
	}
	if err := json.Unmarshal([]byte(document), &mapping); err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]map[string]string{"vLLM": {"*": {"vllm:num_requests_running": "gpustack:my_running"}}}
	if diff := cmp.Diff(want, mapping.Runtimes); diff != "" {
		t.Errorf("the mapping (-want +got):\n%s", diff)
	}

	// The token file is the old server's: a worker that is known needs its credential alone. One of its two GPUs is lost.
	worker := start(t, programs.Path(t, "stackscope-worker"), "--server-url", base, "--token-file", filepath.Join(serverDir, "worker-token"),
		"--data-dir", workerDir, "--worker-name", "node-1", "--worker-ip", "127.0.0.1", "--worker-metrics-host", "127.0.0.1",
		"--worker-metrics-port", strconv.Itoa(workerMetrics), "--discover", "none", "--fake-gpus", "1",
		"--engine", "url="+engine(t, "vllm")+",model=qwen3-8b,instance=qwen3-8b-0")
	const ids = `cluster_id="1",cluster_name="default",worker_id="5",worker_name="node-1"`
	for _, want := range []string{
		`gpustack:my_running{` + ids + `,model_id="3",model_name="qwen3-8b",model_instance_id="9",model_instance_name="qwen3-8b-0",`,
		`gpustack:metrics_config_applied_generation{` + ids + `} 3`,
		`gpustack:gpu_expected{` + ids + `,vendor="fake"} 2`,
		`gpustack:gpu_present{` + ids + `,vendor="fake"} 1`,
		`uuid="GPU-5eed0000-0000-4000-8000-000000000001"`, // of the lost one
	} {
		worker.Await(time.Minute, want, contains(page, want))
	}
	programs.Eventually(t, time.Minute, "the server knows the worker again", func() error {
		l, err := listed[wire.Worker](base + "/v2/workers")
		if err != nil {
			return err
		}
		for _, w := range l {
			if w.Name == "node-1" && w.ID == 5 && w.State == fleet.WorkerReady && w.AppliedGeneration == 3 && len(l) == 5 {
				return nil
			}
		}
		return fmt.Errorf("workers %+v", l)
	})
	programs.Eventually(t, time.Minute, "the server knows the instance again", func() error {
		l, err := listed[wire.ModelInstance](base + "/v2/model-instances")
		if err != nil {
			return err
		}
		for _, in := range l {
			if in.Name == "qwen3-8b-0" && in.ID == 9 && in.ModelID == 3 && in.WorkerID == 5 && in.State == fleet.InstanceRunning && len(l) == 9 {
				return nil
			}
		}
		return fmt.Errorf("instances %+v", l)
	})
}
