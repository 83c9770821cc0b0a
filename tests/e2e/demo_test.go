package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
)

func TestDemo(t *testing.T) {
	base := fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	port := strings.TrimPrefix(base, "http://127.0.0.1:")
	demo := start(t, binary(t, "stackscope"), "demo", "--port", port,
		"--metrics-port", strconv.Itoa(freePort(t)), "--worker-metrics-port", strconv.Itoa(freePort(t)))
	eventually(t, 60*time.Second, "the demo says ready", func() error {
		if !strings.Contains(strings.ToLower(demo.output()), "ready") {
			return fmt.Errorf("printed so far: %s", demo.output())
		}
		return nil
	})
	ready := time.Now()
	eventually(t, 60*time.Second, "three runtimes answer in one vocabulary", func() error {
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
		eventually(t, 60*time.Second-time.Since(ready), name+" has data", func() error {
			got, err := query(base+"/prometheus", name)
			if err == nil && len(got) == 0 {
				err = fmt.Errorf("no series")
			}
			return err
		})
	}
	ui, err := get(base + "/prometheus/query")
	if os.Getenv("PROMETHEUS_UI") == "required" && (err != nil || !strings.Contains(ui, `<div id="root">`)) {
		t.Errorf("no web UI at /prometheus/query: %v, %.300s", err, ui)
	}
	if took := demo.stop(syscall.SIGINT); took > 3*time.Second {
		t.Errorf("Ctrl-C took %v, want under 3 s", took)
	}
	if demo.err != nil {
		t.Errorf("the demo ended with %v", demo.err)
	}
}

// TestOneHangingEngineAmongFour: the scrape returns within its deadline with the other three complete.
func TestOneHangingEngineAmongFour(t *testing.T) {
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(hang.Close)
	page := fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	args := []string{"--data-dir", t.TempDir(), "--worker-metrics-port", strings.TrimPrefix(page, "http://127.0.0.1:")}
	for i, url := range []string{engine(t, "vllm"), hang.URL, engine(t, "sglang"), engine(t, "mindie")} {
		args = append(args, "--engine", fmt.Sprintf("url=%s,model=m%d,instance=i%d", url, i, i))
	}
	start(t, binary(t, "stackscope-worker"), args...)
	eventually(t, 20*time.Second, "the worker is up", func() error { _, err := get(page + "/healthz"); return err })

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "2")
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the scrape took %v, its deadline was 2 s", took)
	}
	for i, want := range []string{"1", "0", "1", "1"} {
		name := fmt.Sprintf("i%d", i)
		found := false
		for line := range strings.Lines(string(body)) {
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
		running := strings.Contains(string(body), "gpustack:num_requests_running{") && linesWith(string(body), "gpustack:num_requests_running{", name) > 0
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
