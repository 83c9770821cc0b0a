package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/console"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/server"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

func settingsOf(t *testing.T, s running, headers ...string) console.Settings {
	t.Helper()
	var got console.Settings
	status, _, body := send(t, "GET", s.URL()+"/console/settings", nil, headers...)
	if err := json.Unmarshal([]byte(body), &got); status != http.StatusOK || err != nil {
		t.Fatalf("%d %v %s", status, err, body)
	}
	return got
}

// outside stands in for an operator's Prometheus.
func outside(t *testing.T) *httptest.Server {
	t.Helper()
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"success","data":"outside `+r.URL.Path+`"}`)
	}))
	t.Cleanup(prometheus.Close)
	return prometheus
}

// TestEveryRedirectEndsAtTheConsole where no Grafana runs: with the variables, at a page, whatever turned Grafana off.
func TestEveryRedirectEndsAtTheConsole(t *testing.T) {
	for name, set := range map[string]func(*server.Options){
		"--disable-builtin-observability": func(*server.Options) {},
		"--disable-builtin-grafana":       func(o *server.Options) { o.DisableBuiltinObservability = false },
		"own UIDs": func(o *server.Options) {
			o.Grafana.WorkerUID, o.Grafana.ModelUID, o.Grafana.PDUID = "my-worker", "my-model", "my-pd"
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			set(&o)
			s := start(t, o)
			c, joined := s.join(t, "worker-1")
			instances := []wire.InstanceReport{
				{Name: "qwen-0", Model: "qwen 3", Runtime: "vLLM", State: fleet.InstanceRunning},
				{Name: "seek-0", Model: "seek", Runtime: "vLLM", State: fleet.InstanceRunning, Role: "decode"},
			}
			reported, err := c.Report(t.Context(), joined.WorkerID, wire.ReportRequest{Instances: instances})
			if err != nil {
				t.Fatal(err)
			}
			id := func(n int64) string { return strconv.FormatInt(n, 10) }
			for path, want := range map[string]string{
				"/v2/clusters/1/dashboard":                                                   "/d/" + o.Grafana.WorkerUID + "/gpustack-worker?var-cluster_name=default",
				"/v2/workers/" + id(joined.WorkerID) + "/dashboard":                          "/d/" + o.Grafana.WorkerUID + "/gpustack-worker?var-cluster_name=default&var-worker_name=worker-1",
				"/v2/models/" + id(reported.Instances[0].ModelID) + "/dashboard":             "/d/" + o.Grafana.ModelUID + "/gpustack-model?var-cluster_name=default&var-model_name=qwen+3",
				"/v2/models/" + id(reported.Instances[1].ModelID) + "/dashboard":             "/d/" + o.Grafana.PDUID + "/gpustack-pd?var-cluster_name=default&var-model_name=seek&var-counted_role=decode",
				"/v2/model-instances/" + id(reported.Instances[0].InstanceID) + "/dashboard": "/d/" + o.Grafana.ModelUID + "/gpustack-model?var-cluster_name=default&var-model_name=qwen+3&var-model_instance_name=qwen-0",
			} {
				resp := navigate(t, s.URL()+path)
				if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || !strings.HasPrefix(to, s.URL()+"/grafana/d/") {
					t.Errorf("%s: %d to %s", path, resp.StatusCode, to)
				}
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Accept", "text/html")
				end, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = end.Body.Close()
				if got := end.Request.URL.RequestURI(); got != want || end.StatusCode != http.StatusOK || !strings.HasPrefix(end.Header.Get("Content-Type"), "text/html") {
					t.Errorf("%s ends at %s: %d, want %s", path, got, end.StatusCode, want)
				}
				uid, _, _ := strings.Cut(strings.TrimPrefix(want, "/d/"), "/")
				if status, _, body := get(t, s.URL()+"/console/dashboards/"+uid); status != http.StatusOK {
					t.Errorf("the dashboard of %s: %d %s", want, status, body)
				}
			}
		})
	}
}

func TestSettings(t *testing.T) {
	grafana := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(grafana.Close)
	prometheus := outside(t)
	for name, c := range map[string]struct {
		set  func(*server.Options)
		want console.Settings
	}{
		"nothing": {func(*server.Options) {}, console.Settings{
			Prometheus: console.Prometheus{Reason: "--prometheus-url"}, Grafana: console.Grafana{Phase: "absent", Reason: "--disable-builtin-observability"},
		}},
		"embedded": {func(o *server.Options) { o.DisableBuiltinObservability = false }, console.Settings{
			Prometheus: console.Prometheus{Available: true, UI: "/prometheus/"}, Grafana: console.Grafana{Phase: "absent", Reason: "--disable-builtin-grafana"},
		}},
		"external Grafana": {func(o *server.Options) { o.GrafanaURL = grafana.URL }, console.Settings{
			Prometheus: console.Prometheus{Reason: "--prometheus-url"}, Grafana: console.Grafana{Phase: "external"},
		}},
		"both external": {func(o *server.Options) { o.GrafanaURL, o.PrometheusURL = grafana.URL, prometheus.URL }, console.Settings{
			Prometheus: console.Prometheus{Available: true}, Grafana: console.Grafana{Phase: "external"},
		}},
		"embedded and external": {func(o *server.Options) { o.DisableBuiltinObservability, o.PrometheusURL = false, prometheus.URL }, console.Settings{
			Prometheus: console.Prometheus{Available: true, UI: "/prometheus/"}, Grafana: console.Grafana{Phase: "absent", Reason: "--disable-builtin-grafana"},
		}},
	} {
		o := options(t)
		c.set(&o)
		got := settingsOf(t, start(t, o))
		for _, reason := range []struct{ got, want *string }{{&got.Prometheus.Reason, &c.want.Prometheus.Reason}, {&got.Grafana.Reason, &c.want.Grafana.Reason}} {
			if *reason.want != "" && strings.Contains(*reason.got, *reason.want) {
				*reason.got = *reason.want
			}
		}
		c.want.Version, c.want.JoinCommand, c.want.Grafana.URL = got.Version, got.JoinCommand, "/grafana/"
		if diff := cmp.Diff(c.want, got); diff != "" || got.Version == "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestJoinCommand: with the address that the client used, and where the token is, for those who may know.
func TestJoinCommand(t *testing.T) {
	o := options(t)
	s := start(t, o)
	file := filepath.Join(o.DataDir, "worker-token")
	token, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	address := s.URL()
	for _, c := range []struct {
		headers []string
		want    string
	}{
		{nil, "stackscope-worker --server-url " + address + " --token-file " + file},
		{[]string{"X-Forwarded-Host", "obs.example.com", "X-Forwarded-Proto", "https"}, "stackscope-worker --server-url https://obs.example.com --token-file DATA_DIR/worker-token"},
		{[]string{"X-Forwarded-Host", "$(reboot)"}, "stackscope-worker --server-url 'http://$(reboot)' --token-file DATA_DIR/worker-token"},
	} {
		got := settingsOf(t, s, c.headers...).JoinCommand
		if got != c.want || strings.Contains(got, strings.TrimSpace(string(token))) {
			t.Errorf("%v: %s, want %s", c.headers, got, c.want)
		}
	}
	o = options(t)
	o.ServerExternalURL = "https://obs.example.com/"
	if got := settingsOf(t, start(t, o)).JoinCommand; !strings.Contains(got, "--server-url https://obs.example.com --token-file ") {
		t.Errorf("with --server-external-url: %s", got)
	}
}

// TestPrometheusURL: the Prometheus that is named answers queries, also beside the embedded one, whose pages and port stay.
func TestPrometheusURL(t *testing.T) {
	prometheus := outside(t)
	address := strings.Replace(prometheus.URL, "http://", "http://reader:hunter2@", 1)
	asked := func(s running, path string) {
		t.Helper()
		if status, _, body := get(t, s.URL()+"/prometheus/api/v1"+path); status != http.StatusOK || !strings.Contains(body, `"outside /api/v1`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	o := options(t)
	o.PrometheusURL = address
	s := start(t, o)
	for _, path := range []string{"/query?query=up", "/query_range?query=up&start=1&end=2&step=1", "/series?match[]=up", "/labels", "/label/job/values", "/metadata", "/status/buildinfo"} {
		asked(s, path)
	}
	for _, path := range []string{"/prometheus/", "/prometheus/graph", "/prometheus/api/v1/targets", "/prometheus/api/v1/status/config"} {
		if status, _, body := get(t, s.URL()+path); status != http.StatusNotFound || !strings.Contains(body, prometheus.URL) || strings.Contains(body, "hunter2") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}

	o = options(t)
	o.PrometheusURL, o.DisableBuiltinObservability, o.PrometheusPort = address, false, programs.FreePort(t)
	s = start(t, o)
	asked(s, "/query?query=up")
	if status, _, body := get(t, s.URL()+"/prometheus/api/v1/targets"); status != http.StatusOK && status != http.StatusServiceUnavailable {
		t.Errorf("the embedded one's targets: %d %s", status, body)
	}
	if status, _, body := get(t, "http://127.0.0.1:"+strconv.Itoa(o.PrometheusPort)+"/prometheus/api/v1/query?query=1"); strings.Contains(body, "outside") {
		t.Errorf("the embedded one's own port: %d %s", status, body)
	}
}

func TestConsoleOptionsThatCannotBe(t *testing.T) {
	for want, set := range map[string]func(*server.Options){
		"--prometheus-url": func(o *server.Options) { o.PrometheusURL = "http://reader:hunter2@prom:x" },
		"--console-frame-ancestors": func(o *server.Options) {
			o.ConsoleFrameAncestors = []string{"https://ok.example.com", "*; script-src *"}
		},
	} {
		o := options(t)
		set(&o)
		s, err := server.New(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", want, err)
			if err == nil {
				_ = s.Close()
			}
		}
	}
}
