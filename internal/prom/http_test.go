package prom

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func testUI() fstest.MapFS {
	return fstest.MapFS{
		"index.html": {Data: []byte(`<script>const C='CONSOLES_LINK_PLACEHOLDER',A='AGENT_MODE_PLACEHOLDER',R='READY_PLACEHOLDER',` +
			`L='LOOKBACKDELTA_PLACEHOLDER';</script><title>TITLE_PLACEHOLDER</title>`)},
		"assets/index-abc.js": {Data: []byte(strings.Repeat("console.log(1);", 1000))},
		"favicon.svg":         {Data: []byte("<svg/>")},
		"VERSION":             {Data: []byte("v0")},
	}
}

// What the UI's pages ask for, and what Grafana's data source does.
func TestEveryEndpointThatTheUICalls(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	worker := newTarget(t, workerPage)
	in.SetTargets(JobWorkers, worker.group(nil))
	in.await(t, `gpustack:num_requests_running`, some)
	for _, path := range []string{
		"/query?query=up",
		"/query_range?query=up&start=0&end=60&step=15",
		"/query_exemplars?query=up&start=0&end=60",
		"/format_query?query=up",
		"/parse_query?query=up",
		"/labels",
		"/label/__name__/values",
		"/series?match[]=up",
		"/metadata",
		"/scrape_pools",
		"/scrape_pools/config?scrapePool=" + JobWorkers,
		"/targets?scrapePool=" + JobWorkers + "&state=active",
		"/targets?state=any",
		"/targets/metadata",
		"/rules",
		"/alerts",
		"/alertmanagers",
		"/features",
		"/notifications",
		"/status/buildinfo",
		"/status/config",
		"/status/flags",
		"/status/runtimeinfo",
		"/status/tsdb?limit=10",
		"/status/tsdb/blocks",
		"/status/walreplay",
	} {
		status, body := get(t, in.url+"/api/v1"+path)
		if status != http.StatusOK || !strings.Contains(body, `"status":"success"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for path, want := range map[string]string{
		"/api/v1/rules":                       `"groups":[]`,
		"/api/v1/alerts":                      `"alerts":[]`,
		"/api/v1/notifications":               `"data":[]`,
		"/api/v1/targets?state=active":        `"health":"up"`,
		"/api/v1/status/runtimeinfo":          `"storageRetention":"15d"`,
		"/api/v1/status/flags":                `"web.enable-admin-api":"false"`,
		"/api/v1/status/tsdb":                 `"gpustack:num_requests_running"`,
		"/api/v1/metadata":                    `"gpustack:num_requests_running":[{"type":"gauge"`,
		"/api/v1/openapi.yaml":                "openapi:",
		"/-/healthy":                          "Prometheus is Healthy.\n",
		"/-/ready":                            "Prometheus is Ready.\n",
		"/metrics":                            "prometheus_tsdb_head_series ",
		"/federate?match[]=%7Bjob!=''%7D":     "gpustack:time_to_first_token_seconds_bucket{",
		"/api/v1/label/runtime/values":        `["SGLang","vLLM"]`,
		"/api/v1/query?query=up@0+offset+-5m": `"status":"success"`,
	} {
		if status, body := get(t, in.url+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, want 200 with %q, got %.400s", path, status, want, body)
		}
	}
	if status, _ := get(t, in.url+"/api/v1/notifications/live"); status != http.StatusNoContent {
		t.Errorf("the live stream answers %d, want 204, on which the UI polls", status)
	}
}

func TestConfigIsThatOfTheSpecification(t *testing.T) {
	t.Parallel()
	jobs := append(DefaultJobs(), Job{"slow", time.Minute})
	in := start(t, Options{Jobs: jobs, RetentionTime: 36 * time.Hour, RetentionBytes: 512 << 20})
	_, body := get(t, in.url+"/api/v1/status/config")
	var answer struct{ Data struct{ YAML string } }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	type scrape struct {
		Job      string `yaml:"job_name"`
		Interval string `yaml:"scrape_interval"`
		Timeout  string `yaml:"scrape_timeout"`
		Path     string `yaml:"metrics_path"`
		Honor    bool   `yaml:"honor_labels"`
		Stamps   bool   `yaml:"honor_timestamps"`
		Gzip     bool   `yaml:"enable_compression"`
		Follow   bool   `yaml:"follow_redirects"`
	}
	var got struct {
		Global struct {
			Interval string `yaml:"scrape_interval"`
			Timeout  string `yaml:"scrape_timeout"`
			Scheme   string `yaml:"metric_name_validation_scheme"`
			Body     string `yaml:"body_size_limit"`
			Samples  int    `yaml:"sample_limit"`
			Dropped  int    `yaml:"keep_dropped_targets"`
		}
		Scrapes []scrape       `yaml:"scrape_configs"`
		Storage map[string]any `yaml:"storage"`
		Runtime map[string]any `yaml:"runtime"`
	}
	if err := yaml.Unmarshal([]byte(answer.Data.YAML), &got); err != nil {
		t.Fatal(err)
	}
	want := []scrape{
		{"gpustack-worker-discovery", "5s", "5s", "/metrics", false, true, true, false},
		{"gpustack-server", "10s", "10s", "/metrics", false, true, true, false},
		{"slow", "1m", "10s", "/metrics", false, true, true, false},
	}
	if diff := cmp.Diff(want, got.Scrapes); diff != "" {
		t.Errorf("scrape_configs (-want +got):\n%s", diff)
	}
	if got.Global.Interval != "15s" || got.Global.Timeout != "10s" || got.Global.Scheme != "utf8" ||
		got.Global.Body != "64MiB" || got.Global.Samples != 2_000_000 || got.Global.Dropped != 100 {
		t.Errorf("global: %+v", got.Global)
	}
	retention := map[string]any{"tsdb": map[string]any{"outofordertimewindow": 0, "retention": map[string]any{"time": "1d12h", "size": "512MiB"}}}
	if diff := cmp.Diff(retention, got.Storage); diff != "" {
		t.Errorf("storage (-want +got):\n%s", diff)
	}
	if len(got.Runtime) != 0 {
		t.Errorf("runtime settings are shown that aren't applied: %v", got.Runtime)
	}
	if _, body := get(t, in.url+"/api/v1/status/runtimeinfo"); !strings.Contains(body, `"storageRetention":"1d12h or 512MiB"`) {
		t.Errorf("runtimeinfo: %s", body)
	}
}

func TestNothingCanBeChangedOverHTTP(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{http.MethodPost, "/api/v1/admin/tsdb/delete_series?match[]=up", http.StatusNotFound}, // "admin APIs disabled"
		{http.MethodPut, "/api/v1/admin/tsdb/delete_series?match[]=up", http.StatusNotFound},
		{http.MethodPost, "/api/v1/admin/tsdb/clean_tombstones", http.StatusNotFound},
		{http.MethodPost, "/api/v1/admin/tsdb/snapshot", http.StatusNotFound},
		{http.MethodPost, "/api/v1/write", http.StatusNotFound},
		{http.MethodPost, "/api/v1/otlp/v1/metrics", http.StatusNotFound},
		{http.MethodPost, "/-/reload", http.StatusNotFound},
		{http.MethodPut, "/-/quit", http.StatusNotFound},
		{http.MethodPost, "/-/healthy", http.StatusMethodNotAllowed},
		{http.MethodPost, "/-/ready", http.StatusMethodNotAllowed},
		{http.MethodPost, "/metrics", http.StatusMethodNotAllowed},
		{http.MethodPost, "/federate?match[]=up", http.StatusMethodNotAllowed},
		{http.MethodPost, "/api/v1/status/walreplay", http.StatusMethodNotAllowed},
		{http.MethodPost, "/api/v1/status/config", http.StatusMethodNotAllowed},
		{http.MethodDelete, "/api/v1/series?match[]=up", http.StatusMethodNotAllowed},
		{http.MethodPut, "/api/v1/query?query=up", http.StatusMethodNotAllowed},
		{http.MethodPost, "/query", http.StatusMethodNotAllowed},
		{http.MethodGet, "/debug/pprof/", http.StatusNotFound},
		{http.MethodGet, "/consoles/index.html", http.StatusNotFound},
	} {
		status, body := do(t, tc.method, in.url+tc.path, nil)
		if status != tc.status || strings.Contains(tc.path, "/admin/") && !strings.Contains(body, "admin APIs disabled") {
			t.Errorf("%s %s: %d, want %d: %s", tc.method, tc.path, status, tc.status, body)
		}
	}
	r := httptest.NewRequest(http.MethodGet, testPrefix+"/api/v1/query?query=up", nil)
	r.Header.Set("Origin", "https://elsewhere.example")
	w := httptest.NewRecorder()
	in.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: %d, Access-Control-Allow-Origin %q, want none", w.Code, w.Header().Get("Access-Control-Allow-Origin"))
	}
}

func TestStartingAndStopped(t *testing.T) {
	t.Parallel()
	p, err := New(Options{Dir: t.TempDir(), PathPrefix: testPrefix, UI: testUI()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, testPrefix+path, nil))
		return w
	}
	for _, path := range []string{"/api/v1/query?query=up", "/federate?match[]=up", "/-/ready"} {
		if w := ask(path); w.Code != http.StatusServiceUnavailable || w.Header().Get("X-Prometheus-Stopping") != "false" || w.Header().Get("Retry-After") != "1" {
			t.Errorf("while starting, %s: %d %v", path, w.Code, w.Header())
		}
	}
	if w := ask("/-/healthy"); w.Code != http.StatusOK {
		t.Errorf("while starting, /-/healthy: %d", w.Code)
	}
	if w := ask("/api/v1/status/walreplay"); w.Body.String() != `{"status":"success","data":{"min":0,"max":0,"current":0}}`+"\n" {
		t.Errorf("while starting, walreplay: %s", w.Body)
	}
	if w := ask("/query"); !strings.Contains(w.Body.String(), "R='false'") {
		t.Errorf("while starting, the page says: %s", w.Body)
	}

	in := start(t, Options{UI: testUI()})
	in.stop()
	w := httptest.NewRecorder()
	in.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, testPrefix+"/api/v1/query?query=up", nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("X-Prometheus-Stopping") != "true" {
		t.Errorf("after the stop: %d %v", w.Code, w.Header())
	}
}

func TestPagesWithUI(t *testing.T) {
	t.Parallel()
	in := start(t, Options{UI: testUI()})
	for path, want := range map[string]string{
		"":                           "prometheus/", // relative: a proxy in front may have taken a path away
		"/":                          "query",
		"/graph?g0.expr=up&g0.tab=1": "query?g0.expr=up&g0.tab=1",
	} {
		if status, location := get(t, in.url+path); status != http.StatusFound || location != want {
			t.Errorf("%q: %d to %q, want 302 to %q", path, status, location, want)
		}
	}
	index := `<script>const C='',A='false',R='true',L='5m';</script><title>` + pageTitle + `</title>`
	for _, route := range uiRoutes() {
		if status, body := get(t, in.url+route); status != http.StatusOK || body != index {
			t.Errorf("%s: %d %s, want %s", route, status, body, index)
		}
		checkPage(t, in.Handler(), route)
	}
	for path, want := range map[string]int{
		"/assets/index-abc.js": http.StatusOK,
		"/favicon.svg":         http.StatusOK,
		"/assets/":             http.StatusNotFound,
		"/assets/none.js":      http.StatusNotFound,
		"/assets/..%2fVERSION": http.StatusBadRequest,
		"/VERSION":             http.StatusNotFound,
		"/index.html":          http.StatusNotFound,
	} {
		if status, body := get(t, in.url+path); status != want {
			t.Errorf("%s: %d, want %d: %.80s", path, status, want, body)
		}
	}

	r := httptest.NewRequest(http.MethodGet, testPrefix+"/assets/index-abc.js", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("Range", "bytes=5-9")
	w := httptest.NewRecorder()
	in.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > 1000 ||
		!strings.Contains(w.Header().Get("Cache-Control"), "immutable") || !strings.Contains(w.Header().Get("Content-Type"), "javascript") {
		t.Errorf("asset: %d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
	}
}

// checkPage holds that a page is asked for anew after an upgrade.
func checkPage(t *testing.T, h http.Handler, path string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, testPrefix+path, nil))
	if w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("%s: %v", path, w.Header())
	}
}

func TestPagesWithoutUI(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	for path, want := range map[string]int{"/": http.StatusOK, "/query": http.StatusNotFound, "/graph": http.StatusNotFound} {
		status, body := get(t, in.url+path)
		if status != want || !strings.Contains(body, "<code>make ui</code>") ||
			!strings.Contains(body, `href="/prometheus/api/v1/query?query=up"`) {
			t.Errorf("%s: %d, want %d and a page that says how to get the UI: %s", path, status, want, body)
		}
		checkPage(t, in.Handler(), path)
	}
	if status, _ := get(t, in.url+"/api/v1/query?query=up"); status != http.StatusOK {
		t.Errorf("the API answers %d", status)
	}
}

func TestRootPrefix(t *testing.T) {
	t.Parallel()
	p, err := New(Options{Dir: t.TempDir(), UI: testUI()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	for path, want := range map[string]int{"/": http.StatusFound, "/query": http.StatusOK, "/api/v1/query": http.StatusServiceUnavailable} {
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestReleaseVersion(t *testing.T) {
	t.Parallel()
	for module, want := range map[string]string{
		"v0.315.0": "3.15.0", "v0.302.1": "3.2.1", "v0.300.0": "3.0.0", "v0.410.2": "4.10.2",
		"v1.2.3": "unknown", "": "unknown", "v0.54.0": "unknown",
	} {
		if got := releaseVersion(module); got != want {
			t.Errorf("%q: got %s, want %s", module, got, want)
		}
	}
}
