package server_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/server"
)

// TestServerWithoutGrafana: nothing else suffers, and the page says how to get one.
func TestServerWithoutGrafana(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("GF_PATHS_HOME", "")
	o := options(t)
	o.DisableBuiltinObservability, o.Grafana.Disabled = false, false
	o.Grafana.Searched = []string{t.TempDir()}
	s := start(t, o)
	if s.GrafanaStatus().Home != "" {
		t.Skipf("this machine has a Grafana in %s", s.GrafanaStatus().Home)
	}
	status, header, body := send(t, "GET", s.URL()+"/grafana/explore", nil, "Accept", "text/html")
	if status != 503 || !strings.Contains(body, "stackscope grafana install") || !strings.Contains(body, "/prometheus") || !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
		t.Errorf("page: %d %s", status, body)
	}
	if resp := navigate(t, s.URL()+"/grafana/d/gpustack-worker?var-a=b"); resp.StatusCode != 302 || resp.Header.Get("Location") != "../../d/gpustack-worker?var-a=b" {
		t.Errorf("a dashboard: %d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	var problem struct{ Detail string }
	if status, _, body := get(t, s.URL()+"/grafana/api/health"); status != 503 || json.Unmarshal([]byte(body), &problem) != nil || problem.Detail == "" {
		t.Errorf("API: %d %s", status, body)
	}
	if status, _, _ := get(t, s.URL()+"/readyz"); status != 200 {
		t.Errorf("readyz: %d", status)
	}
	if _, _, page := get(t, s.metricsURL()+"/metrics"); strings.Contains(page, "stackscope_grafana_up") {
		t.Error("stackscope_grafana_up is there without a Grafana")
	}
}

func TestServerMetricsHaveThoseOfPrometheus(t *testing.T) {
	o := options(t)
	o.DisableBuiltinObservability = false
	s := start(t, o)
	eventually(t, 20*time.Second, "Prometheus' own families", func() bool {
		_, _, page := get(t, s.metricsURL()+"/metrics")
		return strings.Contains(page, "\nprometheus_tsdb_head_series ")
	})
}

// TestExternalGrafana: the embedded pair is off, and redirects lead to the address as it was given, a slash at its end apart.
func TestExternalGrafana(t *testing.T) {
	grafana := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"path": r.URL.Path, "authorization": r.Header.Get("Authorization")})
	}))
	t.Cleanup(grafana.Close)
	o := options(t)
	o.DisableBuiltinObservability, o.Grafana.Disabled = false, false
	o.GrafanaURL = grafana.URL + "/team/"
	o.Grafana.WorkerUID = "" // as a compose file passes on a variable that isn't set
	s := start(t, o)
	if status, _, body := get(t, s.URL()+"/prometheus/api/v1/query?query=up"); status != 404 || !strings.Contains(body, "--grafana-url") {
		t.Errorf("prometheus: %d %s", status, body)
	}
	resp := navigate(t, s.URL()+"/v2/clusters/1/dashboard")
	if got, want := resp.Header.Get("Location"), grafana.URL+"/team/d/gpustack-worker/gpustack-worker?var-cluster_name=default"; resp.StatusCode != 302 || got != want {
		t.Errorf("%d\ngot  %s\nwant %s", resp.StatusCode, got, want)
	}
	resp = navigate(t, s.URL()+"/grafana/d/x?var-a=b")
	if got, want := resp.Header.Get("Location"), grafana.URL+"/team/d/x?var-a=b"; resp.StatusCode != 302 || got != want {
		t.Errorf("%d\ngot  %s\nwant %s", resp.StatusCode, got, want)
	}
	if status, _, body := get(t, s.URL()+"/grafana/api/health"); status != 200 || !strings.Contains(body, `"/team/api/health"`) {
		t.Errorf("a program's request: %d %s", status, body)
	}
	if status, _, body := send(t, "GET", s.URL()+"/grafana/api/health", nil, "Authorization", "Bearer "+s.WorkerToken()); status != 200 || strings.Contains(body, s.WorkerToken()) {
		t.Errorf("our token went to Grafana: %d %s", status, body)
	}
}

// navigate asks as a browser does, without following.
func navigate(t *testing.T, url string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

func TestGrafanaURLsThatCannotBe(t *testing.T) {
	for _, url := range []string{"http://graf ana", "https://admin:secret@grafana.example.com", "ftp://grafana", "http://"} {
		o := options(t)
		o.GrafanaURL = url
		if s, err := server.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--grafana-url") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
			if err == nil {
				_ = s.Close()
			}
		}
	}
}

// TestGrafanaURLsThatAreTold: GPUStack takes these as they are; here the log says what was assumed.
func TestGrafanaURLsThatAreTold(t *testing.T) {
	for url, want := range map[string]string{"grafana.example.com:3000": "has no scheme", "http://grafana:3000": "no dot"} {
		var log bytes.Buffer
		o := options(t)
		o.GrafanaURL, o.Logger = url, slog.New(slog.NewTextHandler(&log, nil))
		s, err := server.New(t.Context(), o)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "WARN") {
			t.Errorf("%s: %q is not in the log: %s", url, want, &log)
		}
	}
}

func TestPrometheusOnAPortOfItsOwn(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	o := options(t)
	o.DisableBuiltinObservability, o.DisableAnonymousViewer, o.NoTrustLoopback = false, true, true
	o.PrometheusPort = port
	s := start(t, o)
	token, err := os.ReadFile(s.AdminTokenPath())
	if err != nil {
		t.Fatal(err)
	}
	url := "http://127.0.0.1:" + strconv.Itoa(port) + "/prometheus/-/healthy"
	if status, _, body := get(t, url); status != 401 {
		t.Errorf("without a token: %d %s", status, body)
	}
	if status, _, body := send(t, "GET", url, nil, "Authorization", "Bearer "+strings.TrimSpace(string(token))); status != 200 {
		t.Errorf("with the admin token: %d %s", status, body)
	}
}
