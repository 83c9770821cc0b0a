package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	compose "github.com/stackscope/stackscope/docker-compose"
	"github.com/stackscope/stackscope/internal/simgrafana"
	"github.com/stackscope/stackscope/tests/dashboards/viewer"
	"github.com/stackscope/stackscope/tests/programs"
)

// TestGrafana runs the demo with a Grafana and asks that through /grafana/ alone.
func TestGrafana(t *testing.T) { simgrafana.Each(t, testGrafana) }

func testGrafana(t *testing.T, home string) { //nolint:thelper // the body of a test: its own lines are wanted
	port := strconv.Itoa(programs.FreePort(t))
	base := "http://127.0.0.1:" + port
	began := time.Now()
	mark := "E2E_MARK=" + port // Grafana inherits it
	demo := startWith(t, []string{mark}, programs.Path(t, "stackscope"), "demo", "--data-dir", t.TempDir(), "--port", port, "--grafana-home", home, "--builtin-grafana-port", strconv.Itoa(programs.FreePort(t)),
		"--metrics-port", strconv.Itoa(programs.FreePort(t)), "--worker-metrics-port", strconv.Itoa(programs.FreePort(t)))
	programs.Eventually(t, 90*time.Second, "Grafana is ready", func() error {
		if !strings.Contains(demo.Output(), "Grafana is ready") {
			return fmt.Errorf("printed so far: %s", demo.Output())
		}
		return nil
	})
	t.Logf("Grafana was ready %v after the start", time.Since(began).Round(100*time.Millisecond))

	t.Run("the datasource is healthy", func(t *testing.T) {
		programs.Eventually(t, 30*time.Second, "health", contains(base+"/grafana/api/datasources/uid/prometheus/health", `"status":"OK"`))
	})
	t.Run("every dashboard is there, and the fleet overview is home", func(t *testing.T) {
		files, err := fs.Glob(compose.Dashboards(), "*.json")
		if err != nil || len(files) < 8 {
			t.Fatalf("%d dashboards in the tree: %v", len(files), err)
		}
		for _, file := range files {
			if _, err := programs.Get(base + "/grafana/api/dashboards/uid/" + strings.TrimSuffix(file, ".json")); err != nil {
				t.Error(err)
			}
		}
		if err := contains(base+"/grafana/api/dashboards/home", `"uid":"stackscope-fleet"`)(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a redirect ends at a dashboard", func(t *testing.T) {
		resp, err := http.Get(base + "/v2/clusters/1/dashboard") //nolint:noctx // bounded by the test's own time
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, want := resp.Request.URL.String(), base+"/grafana/d/gpustack-worker/gpustack-worker?var-cluster_name=default"; got != want || resp.StatusCode != 200 {
			t.Errorf("%s: %s, want %s", resp.Status, got, want)
		}
	})
	t.Run("anonymous viewers cannot edit", func(t *testing.T) {
		if status := post(t, base+"/grafana/api/dashboards/db", `{"dashboard":{"title":"x"},"overwrite":true}`, ""); status != 401 && status != 403 {
			t.Errorf("saving a dashboard: %d", status)
		}
		if status := post(t, base+"/grafana/api/dashboards/db", `{"dashboard":{"title":"mine"}}`, "admin:grafana"); status != 200 {
			t.Errorf("saving one as admin: %d", status)
		}
	})
	t.Run("WebSocket upgrade passes", func(t *testing.T) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "GET /grafana/api/live/ws HTTP/1.1\r\nHost: 127.0.0.1:%[1]s\r\nOrigin: http://127.0.0.1:%[1]s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", port)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(line, "101") {
			t.Errorf("%q %v", line, err)
		}
	})
	t.Run("every panel's expression is answered through Grafana", func(t *testing.T) { askEveryPanel(t, base) })
	t.Run("killed Grafana comes back", func(t *testing.T) {
		pids := running(t, home, mark)
		if len(pids) == 0 {
			t.Fatal("no Grafana process found")
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		programs.Eventually(t, 30*time.Second, "it is gone", func() error {
			if _, err := programs.Get(base + "/grafana/api/health"); err == nil {
				return fmt.Errorf("it still answers")
			}
			return nil
		})
		took := programs.Eventually(t, time.Minute, "it answers again", contains(base+"/grafana/api/health", "ok"))
		t.Logf("back %v after it was found gone", took.Round(100*time.Millisecond))
		programs.Eventually(t, 20*time.Second, "the failure is counted", func() error {
			got, err := query(base+"/prometheus", `stackscope_grafana_failures_total{reason="exit"} == 1`)
			if err == nil && len(got) != 1 {
				err = fmt.Errorf("%d series", len(got))
			}
			return err
		})
	})
	t.Run("killed stackscope leaves no Grafana behind", func(t *testing.T) {
		demo.Stop(syscall.SIGKILL)
		programs.Eventually(t, 30*time.Second, "no Grafana", func() error {
			if pids := running(t, home, mark); len(pids) > 0 {
				return fmt.Errorf("processes %v", pids)
			}
			return nil
		})
	})
}

func post(t *testing.T, url, body, user string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if name, password, ok := strings.Cut(user, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if !json.Valid(answer) {
		t.Errorf("POST %s: not JSON: %.200s", url, answer)
	}
	return resp.StatusCode
}

// running returns the processes, zombies apart, that run a program of home with mark in their environment.
func running(t *testing.T, home, mark string) []int {
	t.Helper()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		called, err := os.ReadFile("/proc/" + d.Name() + "/cmdline")
		env, _ := os.ReadFile("/proc/" + d.Name() + "/environ")
		if err == nil && bytes.HasPrefix(called, []byte(home+"/")) && bytes.Contains(env, []byte(mark+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// askEveryPanel sends each panel's queries to Grafana's own query API, as its pages do. Whether the answers hold what they
// should is tests/dashboards' subject; here none may fail. On a fleet that has just begun many have nothing yet.
func askEveryPanel(t *testing.T, base string) {
	t.Helper()
	list, err := viewer.Load(compose.Dashboards())
	if err != nil {
		t.Fatal(err)
	}
	programs.Eventually(t, 90*time.Second, "rates have data", func() error {
		for _, expr := range []string{`rate(gpustack:generation_tokens_total[20s])`, `rate(process_cpu_seconds_total{job="gpustack-server"}[40s])`} {
			got, err := query(base+"/prometheus", expr)
			if err != nil {
				return err
			}
			if len(got) == 0 {
				return fmt.Errorf("%s has no series", expr)
			}
		}
		return nil
	})
	prometheus := viewer.Prometheus{URL: base + "/prometheus", Client: http.DefaultClient}
	asked, filled := 0, 0
	for _, d := range viewer.OnDemo(list) {
		view := viewer.View{Now: time.Now(), Range: d.From}
		values, err := prometheus.Default(t.Context(), d, view)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				r := view.Request(p, target, values)
				asked++
				if askGrafana(t, base, d.UID+", "+p.Title+", "+target.RefID, r) {
					filled++
				}
			}
		}
	}
	t.Logf("%d of %d queries have data", filled, asked)
	if asked < 100 || filled < asked/4 {
		t.Errorf("%d queries, %d with data", asked, filled)
	}
}

func askGrafana(t *testing.T, base, what string, r viewer.Request) (filled bool) {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"from": strconv.FormatInt(r.End.Add(-30*time.Minute).UnixMilli(), 10), "to": strconv.FormatInt(r.End.UnixMilli(), 10),
		"queries": []map[string]any{{
			"refId": "A", "datasource": map[string]string{"type": "prometheus", "uid": "prometheus"}, "expr": r.Expr,
			"instant": r.Instant, "range": !r.Instant, "intervalMs": r.Step.Milliseconds(), "maxDataPoints": 1000,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(base+"/grafana/api/ds/query", "application/json", bytes.NewReader(text)) //nolint:noctx // bounded by the test's own time
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Results map[string]struct {
			Error  string `json:"error"`
			Frames []struct {
				Data struct {
					Values [][]any `json:"values"`
				} `json:"data"`
			} `json:"frames"`
		} `json:"results"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK || answer.Results["A"].Error != "" {
		t.Errorf("%s: %s %v %s\n%s", what, resp.Status, err, answer.Results["A"].Error, r.Expr)
		return false
	}
	for _, f := range answer.Results["A"].Frames {
		if len(f.Data.Values) > 0 && len(f.Data.Values[0]) > 0 {
			return true
		}
	}
	return false
}
