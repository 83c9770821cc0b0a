package simgrafana

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, "from a file\n")
	t.Setenv("GF_SERVER_HTTP_PORT", "4000")
	t.Setenv("GF_AUTH_ANONYMOUS_ENABLED", "true")
	t.Setenv("GF_AUTH_ANONYMOUS_ENABLE", "what Grafana doesn't have")
	t.Setenv("GF_SECURITY_ADMIN_PASSWORD", "$__file{"+file+"}")
	t.Setenv("GF_LOG_LEVEL", "")
	s, err := loadSettings(Home(t))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{s.get("server", "root_url"), s.get("auth.anonymous", "enabled"), s.get("security", "admin_password"), s.get("log", "level"), s.redacted()["security"]["admin_password"]}
	if diff := cmp.Diff([]string{"http://localhost:4000/", "true", "from a file", "info", "*********"}, got); diff != "" {
		t.Error(diff)
	}
	if value, ok := s["auth.anonymous"]["enable"]; ok {
		t.Errorf("a variable that is no setting's became one: %s", value)
	}
}

func TestProvisioningThatItDoesNotStartWith(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"no YAML":        {"datasources/x.yaml", "apiVersion: [", "datasource provisioning error: x.yaml: "},
		"wrong type":     {"datasources/x.yaml", "apiVersion: 1\ndatasources: [{name: [x]}]", "datasource provisioning error: x.yaml: "},
		"no version":     {"datasources/x.yml", "datasources: []", "datasource provisioning error: x.yml: apiVersion 0"},
		"no name":        {"datasources/x.yaml", "apiVersion: 1\ndatasources: [{type: prometheus}]", "has no name or no type"},
		"two defaults":   {"datasources/x.yaml", "apiVersion: 1\ndatasources: [{name: a, uid: a, type: t, isDefault: true}, {name: b, uid: b, type: t, isDefault: true}]", "only one datasource"},
		"not to be read": {"dashboards/x.yaml/y", "", "dashboard provisioning error: x.yaml: "},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, c.file), c.text)
		_, err := loadProvisioning(dir, logger{out: io.Discard})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// grafana serves the API, with the settings of the environment, over a Prometheus that answers with its question.
func grafana(t *testing.T) (server *httptest.Server, asked func() string) {
	t.Helper()
	last := ""
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = r.Method + " " + r.URL.Path + " " + r.FormValue("query") + " " + r.Header.Get("X-Who")
		if r.FormValue("query") == "bad" {
			fmt.Fprint(w, `{"status":"error","error":"parse error"}`)
			return
		}
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1.5,"NaN"]}]}}`)
	}))
	t.Cleanup(prometheus.Close)
	dir, home := t.TempDir(), Home(t)
	t.Setenv("GF_PATHS_DATA", dir)
	t.Setenv("SIMGRAFANA_WHO", "us")
	write(t, filepath.Join(dir, "boards", "one.json"), `{"uid":"one","title":"One"}`)
	write(t, filepath.Join(dir, "provisioning", "dashboards", "x.yaml"), "apiVersion: 1\nproviders: [{name: x, type: file, options: {path: "+dir+"/boards}}]")
	write(t, filepath.Join(dir, "provisioning", "datasources", "x.yaml"), `apiVersion: 1
datasources:
  - {name: P, uid: p, type: prometheus, access: proxy, url: "`+prometheus.URL+`", jsonData: {httpMethod: POST, httpHeaderName1: X-Who}, secureJsonData: {httpHeaderValue1: "$SIMGRAFANA_WHO for $$5"}}`)
	s, err := loadSettings(home)
	if err != nil {
		t.Fatal(err)
	}
	l := logger{out: io.Discard}
	db, err := openDatabase(s, Play{Version: defaultVersion}, l)
	if err != nil {
		t.Fatal(err)
	}
	p, err := loadProvisioning(filepath.Join(dir, "provisioning"), l)
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewServer(newHandler(home, s, db, p, l))
	t.Cleanup(server.Close)
	return server, func() string { return last }
}

func send(t *testing.T, server *httptest.Server, login, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if login != "" {
		req.SetBasicAuth(login, "admin")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestWhoMayWhat(t *testing.T) {
	const dashboard = `{"dashboard":{"title":"x"}}`
	requests := []string{
		"GET /api/dashboards/uid/one", "POST /api/dashboards/db", "POST /api/folders", "GET /api/datasources/uid/p", "POST /api/datasources",
		"GET /api/admin/settings", "POST /api/admin/users", "GET /api/user",
	}
	for _, c := range []struct {
		enabled, role, login string
		want                 []int
	}{
		{"false", "Viewer", "", []int{401, 401, 401, 401, 401, 401, 401, 401}},
		{"true", "Viewer", "", []int{200, 403, 403, 403, 403, 403, 403, 401}},
		{"true", "Editor", "", []int{200, 200, 200, 403, 403, 403, 403, 401}},
		{"true", "Admin", "", []int{200, 200, 200, 200, 200, 403, 403, 401}},
		{"true", "Viewer", "admin", []int{200, 200, 200, 200, 200, 200, 200, 200}},
		{"true", "Viewer", "stranger", []int{401, 401, 401, 401, 401, 401, 401, 401}},
	} {
		t.Run(c.enabled+" "+c.role+" "+c.login, func(t *testing.T) {
			t.Setenv("GF_AUTH_ANONYMOUS_ENABLED", c.enabled)
			t.Setenv("GF_AUTH_ANONYMOUS_ORG_ROLE", c.role)
			server, _ := grafana(t)
			var got []int
			for _, request := range requests {
				method, path, _ := strings.Cut(request, " ")
				status, _ := send(t, server, c.login, method, path, dashboard)
				got = append(got, status)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("of %q (-want +got):\n%s", requests, diff)
			}
		})
	}
}

func TestQueries(t *testing.T) {
	server, asked := grafana(t)
	ask := func(rest string) (int, string) {
		return send(t, server, "admin", http.MethodPost, "/api/ds/query", `{"from":"now-5m","to":"now","queries":[{"refId":"A","datasource":{"uid":"p"},`+rest+`}]}`)
	}
	status, body := ask(`"expr":"up","instant":true`)
	if got, want := asked(), "POST /api/v1/query up us for $5"; status != http.StatusOK || got != want {
		t.Errorf("%d; Prometheus was asked %q, want %q", status, got, want)
	}
	const want = `{"results":{"A":{"frames":[{"data":{"values":[[1500],[null]]},"schema":{"fields":[{"name":"Time","type":"time"},{"labels":{"a":"b"},"name":"Value","type":"number"}],"refId":"A"}}],"status":200}}}`
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if ask(`"expr":"up"`); asked() != "POST /api/v1/query_range up us for $5" {
		t.Errorf("without a kind Prometheus was asked %q", asked())
	}
	if status, body := ask(`"expr":"bad","instant":true`); status != http.StatusBadRequest || !json.Valid([]byte(body)) || !strings.Contains(body, "parse error") {
		t.Errorf("a bad query: %d %s", status, body)
	}
}
