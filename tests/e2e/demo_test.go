package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/tests/programs"
)

func TestDemo(t *testing.T) {
	base := fmt.Sprintf("http://127.0.0.1:%d", programs.FreePort(t))
	port := strings.TrimPrefix(base, "http://127.0.0.1:")
	demo := start(t, programs.Path(t, "stackscope"), "demo", "--port", port,
		"--metrics-port", strconv.Itoa(programs.FreePort(t)), "--worker-metrics-port", strconv.Itoa(programs.FreePort(t)))
	programs.Eventually(t, 60*time.Second, "the demo says ready", func() error {
		if !strings.Contains(strings.ToLower(demo.Output()), "ready") {
			return fmt.Errorf("printed so far: %s", demo.Output())
		}
		return nil
	})
	ready := time.Now()
	programs.Eventually(t, 60*time.Second, "three runtimes answer in one vocabulary", func() error {
		got, err := query(base+"/prometheus", "count by (runtime)(gpustack:num_requests_running)")
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, s := range got {
			seen[s.Metric["runtime"]] = true
		}
		if !seen["vLLM"] || !seen["SGLang"] || !seen["MindIE"] {
			return fmt.Errorf("runtimes %v", seen)
		}
		return nil
	})
	for _, m := range catalog.Runtime[:16] {
		name := m.WireName()
		if m.Type == catalog.Histogram {
			name += "_bucket"
		}
		programs.Eventually(t, 60*time.Second-time.Since(ready), name+" has data", func() error {
			got, err := query(base+"/prometheus", name)
			if err == nil && len(got) == 0 {
				err = fmt.Errorf("no series")
			}
			return err
		})
	}
	ui, err := programs.Get(base + "/prometheus/query")
	if os.Getenv("PROMETHEUS_UI") == "required" && (err != nil || !strings.Contains(ui, `<div id="root">`)) {
		t.Errorf("no web UI at /prometheus/query: %v, %.300s", err, ui)
	}
	demo.Stop(syscall.SIGINT)
	if err := demo.Err(); err != nil { // also when a part of it did not stop in time
		t.Errorf("the demo ended with %v", err)
	}
}

// TestOneHangingEngineAmongFour: the scrape returns within its deadline with the other three complete, while one with more time
// still waits for the fourth.
func TestOneHangingEngineAmongFour(t *testing.T) {
	release := make(chan struct{})
	freed := sync.OnceFunc(func() { close(release) })
	hang := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-release:
			_, _ = io.WriteString(w, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=\"m1\"} 1\n")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hang.Close)
	t.Cleanup(freed)
	page := fmt.Sprintf("http://127.0.0.1:%d", programs.FreePort(t))
	args := []string{"--data-dir", t.TempDir(), "--discover", "none", "--worker-metrics-port", strings.TrimPrefix(page, "http://127.0.0.1:")}
	for i, url := range []string{engine(t, "vllm"), hang.URL, engine(t, "sglang"), engine(t, "mindie")} {
		args = append(args, "--engine", fmt.Sprintf("url=%s,model=m%d,instance=i%d", url, i, i))
	}
	start(t, programs.Path(t, "stackscope-worker"), args...)
	programs.Eventually(t, 20*time.Second, "the worker is up", func() error { _, err := programs.Get(page + "/healthz"); return err })

	scrape := func(seconds string) chan string {
		answer := make(chan string, 1)
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, page+"/metrics", nil)
			req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", seconds)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				answer <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				body = []byte(err.Error())
			}
			answer <- string(body)
		}()
		return answer
	}
	patient, hasty := scrape("25"), scrape("2")
	checkInstances(t, <-hasty, "1", "0", "1", "1")
	select {
	case <-patient:
		t.Error("the scrape with more time did not wait for the engine")
	default:
		freed()
		checkInstances(t, <-patient, "1", "1", "1", "1")
	}
}

// checkInstances looks which of the instances i0, i1 ... were read.
func checkInstances(t *testing.T, page string, success ...string) {
	t.Helper()
	for i, want := range success {
		name := fmt.Sprintf("i%d", i)
		found := false
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "gpustack:runtime_scrape_success{") && strings.Contains(line, `model_instance_name="`+name+`"`) {
				found = true
				if !strings.HasSuffix(strings.TrimSpace(line), " "+want) {
					t.Errorf("%s, want %s", strings.TrimSpace(line), want)
				}
			}
		}
		if !found {
			t.Errorf("no runtime_scrape_success for %s", name)
		}
		running := linesWith(page, "gpustack:num_requests_running{", name) > 0
		if running != (want == "1") {
			t.Errorf("%s: num_requests_running present is %v", name, running)
		}
	}
}

func linesWith(page, prefix, part string) (n int) {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, prefix) && strings.Contains(line, `"`+part+`"`) {
			n++
		}
	}
	return n
}
