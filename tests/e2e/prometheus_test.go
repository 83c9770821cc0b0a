package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/tests/programs"
)

func urlEscape(s string) string { return url.QueryEscape(s) }

// prometheusDir builds a Prometheus of its own, apart from the one inside stackscope, and returns where it and promtool are.
func prometheusDir(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "hack", "build-prometheus")).Output()
	if err != nil {
		t.Fatalf("hack/build-prometheus: %v", err)
	}
	lines := strings.Fields(string(out))
	return lines[len(lines)-1]
}

// The scrape configuration of the specification's page, as it stands there.
const specificationScrapeConfig = `scrape_configs:
  - job_name: gpustack-worker-discovery
    scrape_interval: 5s
    http_sd_configs:
      - url: "http://<gpustack_server_host>:10161/metrics/targets"
        refresh_interval: 1m
  - job_name: gpustack-server
    scrape_interval: 10s
    static_configs:
      - targets: ["<gpustack_server_host>:10161"]
`

// defaultMetricsPort is the port that the specification's configuration names, or another one while a stackscope of the
// developer's own has it.
func defaultMetricsPort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:10161")
	if err != nil {
		port := programs.FreePort(t)
		t.Logf("port 10161 is not free, so the test's configuration names %d", port)
		return port
	}
	defer ln.Close()
	return 10161
}

func TestOutsidePrometheus(t *testing.T) {
	dir := prometheusDir(t)
	metricsPort := defaultMetricsPort(t)
	server := fmt.Sprintf("http://127.0.0.1:%d", metricsPort)
	workerPort := programs.FreePort(t)
	start(t, programs.Path(t, "stackscope"), "start", "--data-dir", t.TempDir(), "--metrics-port", strconv.Itoa(metricsPort),
		"--host", "127.0.0.1", "--port", strconv.Itoa(programs.FreePort(t)), "--worker-metrics-port", strconv.Itoa(workerPort),
		"--worker-ip", "127.0.0.1", "--discover", "none", "--engine", "url="+engine(t, "vllm")+",model=qwen3-8b", "--engine", "url="+engine(t, "mindie"))
	programs.Eventually(t, 30*time.Second, "the worker is discovered", contains(server+"/metrics/targets", ":"+strconv.Itoa(workerPort)))

	config := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(specificationScrapeConfig, "<gpustack_server_host>:10161", strings.TrimPrefix(server, "http://"))), 0o600); err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", programs.FreePort(t))
	start(t, filepath.Join(dir, "prometheus"), "--config.file", config, "--storage.tsdb.path", t.TempDir(),
		"--web.listen-address", strings.TrimPrefix(base, "http://"))

	programs.Eventually(t, 60*time.Second, "every target of the outside Prometheus is up", func() error {
		up, err := query(base, "up")
		if err != nil {
			return err
		}
		if len(up) != 2 {
			return fmt.Errorf("%d targets, want 2: %v", len(up), up)
		}
		for _, s := range up {
			if s.Value[1] != "1" {
				return fmt.Errorf("down: %v", s.Metric)
			}
		}
		return nil
	})
	programs.Eventually(t, 30*time.Second, "TTFT has buckets", func() error {
		got, err := query(base, `gpustack:time_to_first_token_seconds_bucket`)
		if err != nil {
			return err
		}
		if len(got) == 0 {
			return fmt.Errorf("no series")
		}
		for _, s := range got {
			if s.Metric["cluster_name"] != "default" || s.Metric["cluster_id"] == "" {
				t.Fatalf("series without its cluster: %v", s.Metric)
			}
		}
		return nil
	})
	body, err := programs.Get(base + "/api/v1/labels")
	if err != nil {
		t.Fatal(err)
	}
	var labels struct{ Data []string }
	if err := json.Unmarshal([]byte(body), &labels); err != nil {
		t.Fatal(err)
	}
	if len(labels.Data) < 10 {
		t.Fatalf("only %v", labels.Data)
	}
	for _, name := range labels.Data {
		if strings.HasPrefix(name, "exported_cluster") || name == "exported_instance" || name == "exported_job" {
			t.Errorf("Prometheus had to rename a label: %s", name)
		}
	}

	for _, page := range []string{
		server + "/metrics",
		fmt.Sprintf("http://127.0.0.1:%d/metrics", workerPort),
	} {
		checkWithPromtool(t, dir, page)
	}
}

// checkWithPromtool runs `promtool check metrics` on a page. The colon in the names is the specification's wish, and one
// gauge is called restart_count because GPUStack calls it so. The embedded Prometheus names its own families as it likes.
func checkWithPromtool(t *testing.T, dir, page string) {
	t.Helper()
	text, err := programs.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "promtool"), "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	out, _ := cmd.CombinedOutput() // exits with 3 when it has anything to say; judged line by line below
	colons := 0
	for line := range strings.Lines(string(out)) {
		if strings.HasSuffix(strings.TrimSpace(line), "metric names should not contain ':'") {
			colons++
			continue
		}
		if strings.HasPrefix(line, catalog.ModelInstanceRestartCount.Name+` non-histogram and non-summary metrics should not have "_count" suffix`) {
			continue
		}
		if strings.HasPrefix(line, "prometheus_") && strings.Contains(line, "metric name should not include type 'histogram'") {
			continue
		}
		t.Errorf("%s: promtool check metrics: %s", page, line)
	}
	if colons == 0 {
		t.Errorf("%s: promtool said nothing about colons: did it read the page?\n%s", page, out)
	}
}
