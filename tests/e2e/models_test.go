package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/tests/programs"
)

// rayPage is the shape of Ray 2.52's page of a node with two applications: counters are gauges without _total.
const rayPage = `# TYPE ray_vllm_num_requests_running gauge
ray_vllm_num_requests_running{Version="2.52.0",WorkerId="w1",ReplicaId="qq7rz5ag",engine="0",model_name="qwen-0.5b"} 3.0
ray_vllm_num_requests_running{Version="2.52.0",WorkerId="w2",ReplicaId="2on12ut3",engine="0",model_name="llama-8b"} 5.0
# TYPE ray_vllm_prompt_tokens gauge
ray_vllm_prompt_tokens{Version="2.52.0",WorkerId="w1",ReplicaId="qq7rz5ag",engine="0",model_name="qwen-0.5b"} 4116.0
ray_vllm_prompt_tokens{Version="2.52.0",WorkerId="w2",ReplicaId="2on12ut3",engine="0",model_name="llama-8b"} 900.0
# TYPE ray_vllm_request_success gauge
ray_vllm_request_success{Version="2.52.0",WorkerId="w1",ReplicaId="qq7rz5ag",engine="0",finished_reason="stop",model_name="qwen-0.5b"} 40.0
ray_vllm_request_success{Version="2.52.0",WorkerId="w2",ReplicaId="2on12ut3",engine="0",finished_reason="length",model_name="llama-8b"} 9.0
`

// A page of Ray with two models: both are models and instances of the inventory, each with its own numbers, and one that ends is told.
func TestTwoModelsOnAPage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts programs")
	}
	var page atomic.Pointer[string]
	both := rayPage
	page.Store(&both)
	ray := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, *page.Load())
	}))
	t.Cleanup(ray.Close)

	port, metricsPort, dir := programs.FreePort(t), programs.FreePort(t), t.TempDir()
	server := fmt.Sprintf("http://127.0.0.1:%d", port)
	start(t, programs.Path(t, "stackscope"), "server", "--data-dir", dir, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(metricsPort))
	programs.Eventually(t, 20*time.Second, "the server is ready", contains(server+"/readyz", "ok"))
	token, err := os.ReadFile(filepath.Join(dir, "worker-token"))
	if err != nil {
		t.Fatal(err)
	}
	start(t, programs.Path(t, "stackscope-worker"), "--server-url", server, "--token", strings.TrimSpace(string(token)), "--data-dir", t.TempDir(),
		"--worker-ip", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(programs.FreePort(t)), "--discover", "none", "--engine", "url="+ray.URL+",instance=ray")

	prometheus := server + "/prometheus"
	values := func(expr string, labels ...string) ([]string, error) {
		result, err := query(prometheus, expr)
		var list []string
		for _, s := range result {
			var line strings.Builder
			for _, name := range labels {
				line.WriteString(s.Metric[name] + " ")
			}
			list = append(list, line.String()+fmt.Sprint(s.Value[1]))
		}
		slices.Sort(list)
		return list, err
	}
	for _, c := range []struct {
		expr   string
		labels []string
		want   []string
	}{
		{"sum by (model_name) (gpustack:num_requests_running)", []string{"model_name"}, []string{"llama-8b 5", "qwen-0.5b 3"}},
		{"sum by (model_name) (gpustack:prompt_tokens_total)", []string{"model_name"}, []string{"llama-8b 900", "qwen-0.5b 4116"}},
		{
			"sum by (model_name, model_instance_name) (gpustack:request_success_total)",
			[]string{"model_name", "model_instance_name"},
			[]string{"llama-8b ray-llama-8b 9", "qwen-0.5b ray-qwen-0.5b 40"},
		},
		{"gpustack:model_instance_status{state=\"running\"}", []string{"model_name", "model_instance_name"}, []string{"llama-8b ray-llama-8b 1", "qwen-0.5b ray-qwen-0.5b 1"}},
		{"gpustack:model_running_instances", []string{"model_name"}, []string{"llama-8b 1", "qwen-0.5b 1"}},
		// The ids of the samples are those of the inventory.
		{
			"count by (model_name) (gpustack:num_requests_running * on (model_id, model_name) group_left gpustack:model_info)",
			[]string{"model_name"},
			[]string{"llama-8b 1", "qwen-0.5b 1"},
		},
		{"gpustack:runtime_scrape_success", []string{"model_name", "model_instance_name"}, []string{" ray 1"}},
		{"gpustack:runtime_models_folded", []string{"model_instance_name"}, []string{"ray 0"}},
	} {
		programs.Eventually(t, time.Minute, c.expr, func() error {
			got, err := values(c.expr, c.labels...)
			if diff := cmp.Diff(c.want, got); err == nil && diff != "" {
				return fmt.Errorf("(-want +got)\n%s", diff)
			}
			return err
		})
	}

	alone := ""
	for line := range strings.Lines(rayPage) {
		if !strings.Contains(line, "llama-8b") {
			alone += line
		}
	}
	page.Store(&alone)
	programs.Eventually(t, time.Minute, "a model that has ended is told", func() error {
		got, err := values("gpustack:model_instance_status", "model_instance_name", "state")
		if diff := cmp.Diff([]string{"ray-llama-8b unreachable 1", "ray-qwen-0.5b running 1"}, got); err == nil && diff != "" {
			return fmt.Errorf("(-want +got)\n%s", diff)
		}
		return err
	})
}
