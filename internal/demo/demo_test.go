package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/tests/programs"
)

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", url, resp.Status, body)
	}
	return string(body)
}

// address returns the URL that the summary prints behind title.
func address(t *testing.T, summary, title string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^\s+` + regexp.QuoteMeta(title) + `\s+(http://\S+)$`).FindStringSubmatch(summary)
	if m == nil {
		t.Fatalf("no address of %q in\n%s", title, summary)
	}
	return m[1]
}

func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	o := DefaultOptions()
	o.NoGrafana = true
	var out, log programs.Buffer
	o.Port, o.WorkerMetricsPort, o.MetricsPort = 0, 0, taken.Addr().(*net.TCPAddr).Port
	if o.Logger, err = logging.New(&log, "text", "info"); err != nil {
		t.Fatal(err)
	}
	o.Out, o.Settings = &out, []command.Setting{{Flag: "--scenario", Value: ScenarioEngines, Source: command.FromDefault}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o) }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s\noutput:\n%s", log.String(), out.String())
		}
	})

	programs.Eventually(t, readyTimeout, "the demo", func() error {
		select {
		case err := <-done:
			t.Fatalf("the demo ended: %v", err)
		default:
		}
		if !strings.Contains(out.String(), "ready after") {
			return fmt.Errorf("the demo isn't ready")
		}
		return nil
	})
	ready := time.Now()
	summary := out.String()
	if want := fmt.Sprintf("port %d is not available", o.MetricsPort); !strings.Contains(summary, want) {
		t.Errorf("the summary doesn't say %q:\n%s", want, summary)
	}
	base := strings.TrimSuffix(address(t, summary, "Prometheus"), "/prometheus/")
	if got := address(t, summary, "console"); got != base+"/" {
		t.Errorf("the console is at %s, Prometheus at %s", got, base)
	}
	join := regexp.MustCompile(`(?m)^  stackscope-worker --server-url http://localhost:\d+ --token-file (\S+) --worker-name second `).FindStringSubmatch(summary)
	if join == nil {
		t.Errorf("the summary doesn't say how a worker joins:\n%s", summary)
	} else if token, err := os.ReadFile(join[1]); err != nil || len(token) == 0 {
		t.Errorf("the join token's file: %v", err)
	}
	answer := func(expr string) error {
		got, err := ask(ctx, base, expr)
		if err == nil && len(got) == 0 {
			err = fmt.Errorf("%s has no answer", expr)
		}
		return err
	}

	t.Run("three runtimes under one name", func(t *testing.T) {
		got, err := ask(ctx, base, "count by (runtime)(group by (runtime, model_instance_name)(gpustack:num_requests_running))")
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]any{}
		for _, s := range got {
			counts[s.Metric["runtime"]] = s.Value[1]
		}
		if counts["vLLM"] != "2" || counts["SGLang"] != "1" || counts["MindIE"] != "1" {
			t.Errorf("engines by runtime: %v", counts)
		}
	})
	t.Run("the specification's sixteen families", func(t *testing.T) {
		for _, m := range catalog.Runtime[:16] {
			name := m.WireName()
			if m.Type == catalog.Histogram {
				name += "_bucket"
			}
			programs.Eventually(t, time.Minute-time.Since(ready), "the demo", func() error { return answer(name) })
			if m.Type == catalog.Counter || m.Type == catalog.Histogram {
				if m.Type == catalog.Histogram {
					name = m.WireName() + "_count"
				}
				programs.Eventually(t, time.Minute-time.Since(ready), "the demo", func() error { return answer("rate(" + name + "[1m]) > 0") })
			}
		}
	})
	t.Run("the queries have answers", func(t *testing.T) {
		if n := len(Queries()); n != 8 {
			t.Errorf("%d queries", n)
		}
		for _, q := range Queries() {
			if !strings.Contains(summary, "\n    "+q.Expr+"\n") {
				t.Errorf("%s isn't printed on a line of its own", q.Expr)
			}
			programs.Eventually(t, 20*time.Second, "the demo", func() error {
				got, err := ask(ctx, base, q.Expr)
				for _, s := range got {
					if s.Value[1] == "NaN" {
						err = fmt.Errorf("%s is NaN for %v", q.Expr, s.Metric)
					}
				}
				if err == nil && len(got) < 3 {
					err = fmt.Errorf("%s has %d answers, want one for each runtime", q.Expr, len(got))
				}
				return err
			})
		}
	})
	t.Run("what is printed can be opened", func(t *testing.T) {
		var groups []struct {
			Targets []string `json:"targets"`
		}
		if err := json.Unmarshal([]byte(get(t, address(t, summary, "scrape targets"))), &groups); err != nil {
			t.Fatal(err)
		}
		worker := address(t, summary, "worker's metrics")
		if len(groups) != 1 || len(groups[0].Targets) != 1 || worker != "http://"+groups[0].Targets[0]+"/metrics" {
			t.Errorf("targets %v, the worker is at %s", groups, worker)
		}
		if page := get(t, address(t, summary, "server's metrics")); strings.Count(page, "\ngpustack:model_instance_status{") != 5 {
			t.Errorf("the inventory doesn't have four engines and a gateway:\n%s", page)
		}
		if page := get(t, worker); !strings.Contains(page, "gpustack:worker_node_memory_used_bytes{") {
			t.Error("the worker's page has nothing about this machine")
		}
		raw := get(t, address(t, summary, "native metrics"))
		for _, name := range []string{"vllm:num_requests_running{", "sglang:num_running_reqs{", "npu_cache_usage_perc{", "litellm_output_tokens_metric_total{"} {
			if !strings.Contains(raw, name) {
				t.Errorf("no %s among the native metrics", name)
			}
		}
		get(t, address(t, summary, "active mapping"))
		if strings.Contains(summary, "a first graph") { // else it was built without the UI
			get(t, address(t, summary, "a first graph"))
		} else if !strings.Contains(summary, "without Prometheus' web UI") {
			t.Error("the summary neither has a graph nor says why")
		}
	})
	t.Run("everything is up", func(t *testing.T) {
		programs.Eventually(t, 20*time.Second, "the demo", func() error {
			got, err := ask(ctx, base, "up")
			for _, s := range got {
				if s.Value[1] != "1" {
					return fmt.Errorf("%v is down", s.Metric)
				}
			}
			if len(got) != 2 && err == nil {
				err = fmt.Errorf("%d targets, want the worker and the server", len(got))
			}
			return err
		})
	})
	t.Run("a bundle has the flags and the log", func(t *testing.T) {
		token, err := os.ReadFile(filepath.Join(filepath.Dir(join[1]), command.AdminTokenFile))
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(client.Options{BaseURL: base, Token: strings.TrimSpace(string(token))})
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		if err := c.DoctorBundle(ctx, &packed); err != nil {
			t.Fatal(err)
		}
		files := programs.Unpack(t, &packed)
		for _, name := range []string{"server/settings.txt", "workers/1/settings.txt"} {
			if got := files[name]; got != "--scenario=engines  (default)\n" {
				t.Errorf("%s: %q", name, got)
			}
		}
		for _, name := range []string{"server/log.txt", "workers/1/log.txt"} {
			if !strings.Contains(files[name], " INFO ") {
				t.Errorf("%s: %q", name, files[name])
			}
		}
	})
	if all := log.String() + summary; strings.Contains(all, "must-not-leak") {
		t.Error("SGLang's key is in the log")
	}

	cancel()
	select {
	case err := <-done: // the server says so when a part of it did not stop in time
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the demo does not stop")
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestPortTaken(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	o := DefaultOptions()
	o.NoGrafana = true
	o.Port, o.MetricsPort, o.WorkerMetricsPort = taken.Addr().(*net.TCPAddr).Port, 0, 0
	err = Run(t.Context(), o)
	if want := fmt.Sprintf("port %d is taken", o.Port); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--port") {
		t.Errorf("%v, want %q and --port", err, want)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestStopBeforeReady: Ctrl-C works at any moment.
func TestStopBeforeReady(t *testing.T) {
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 700 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			o := DefaultOptions()
			o.NoGrafana = true
			o.Port, o.MetricsPort, o.WorkerMetricsPort, o.DataDir = 0, 0, 0, t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(after, cancel).Stop()
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- Run(ctx, o) }()
			select {
			case err := <-done:
				if err != nil && !errors.Is(err, context.Canceled) { // which a command takes for an end without error
					t.Error(err)
				}
			case <-time.After(time.Minute):
				t.Fatal("it does not stop")
			}
		})
	}
}
