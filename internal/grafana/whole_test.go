package grafana

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	compose "github.com/stackscope/stackscope/docker-compose"
	"github.com/stackscope/stackscope/internal/simgrafana"
)

// prometheus stands in for Prometheus: it answers every query with one sample and notes who asked.
func prometheus(t *testing.T) (url string, asked func() (queries int, authorization string)) {
	t.Helper()
	type question struct{ authorization string }
	questions := make(chan question, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimPrefix(r.URL.Path, "/prometheus/api/v1/") {
		case "query":
			questions <- question{r.Header.Get("Authorization")}
			fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[%d,"42"]}]}}`, time.Now().Unix())
		case "query_range":
			questions <- question{r.Header.Get("Authorization")}
			fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[%d,"42"]]}]}}`, time.Now().Unix())
		default:
			fmt.Fprint(w, `{"status":"success","data":{}}`)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/prometheus", func() (n int, authorization string) {
		for {
			select {
			case q := <-questions:
				n, authorization = n+1, q.authorization
			default:
				return n, authorization
			}
		}
	}
}

// call asks Grafana's API; user is name:password or empty.
func call(t *testing.T, g *Grafana, user, method, path, body string) (status int, answer map[string]any) {
	t.Helper()
	addr, ok := g.upstream()
	if !ok {
		t.Fatal("Grafana doesn't run")
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+"/grafana"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if name, password, ok := strings.Cut(user, ":"); ok {
		request.SetBasicAuth(name, password)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(text, &answer)
	return response.StatusCode, answer
}

func dig(answer any, path ...string) any {
	for _, name := range path {
		m, _ := answer.(map[string]any)
		answer = m[name]
	}
	return answer
}

// What follows is asked of the stand-in always, and of a real Grafana where the machine has one.
func TestGrafana(t *testing.T) { simgrafana.Each(t, testGrafana) }

func testGrafana(t *testing.T, home string) { //nolint:thelper // the body of a test: its own lines are wanted
	lines := new(logLines)
	url, asked := prometheus(t)
	o := Options{
		Home: home, Dir: filepath.Join(t.TempDir(), "grafana"), PathPrefix: "/grafana", PrometheusURL: url, PrometheusToken: "a-token$of$$ours",
		MemoryLimit: 256 << 20, Environ: simgrafana.Environ(), Logger: lines.logger(),
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, g)
	s := await(t, g, "running", running)
	t.Logf("Grafana %s, first start (with migrations): %s", s.Version, samples(g)["start_duration_seconds"])

	t.Run("datasource", func(t *testing.T) {
		status, d := call(t, g, "admin:grafana", http.MethodGet, "/api/datasources/uid/prometheus", "")
		want := map[string]any{"name": "Prometheus", "url": url, "access": "proxy", "isDefault": true, "readOnly": true}
		got := map[string]any{}
		for name := range want {
			got[name] = d[name]
		}
		if diff := cmp.Diff(want, got); status != http.StatusOK || diff != "" {
			t.Errorf("%d (-want +got):\n%s", status, diff)
		}
		if status, d := call(t, g, "", http.MethodGet, "/api/datasources/uid/prometheus/health", ""); status != http.StatusOK || d["status"] != "OK" {
			t.Errorf("its health: %d %v", status, d)
		}
		asked()
		const query = `{"queries":[{"refId":"A","datasource":{"uid":"prometheus"},"expr":"up","instant":true}],"from":"now-5m","to":"now"}`
		status, d = call(t, g, "", http.MethodPost, "/api/ds/query", query)
		if n, authorization := asked(); status != http.StatusOK || n != 1 || authorization != "Bearer a-token$of$$ours" || dig(d, "results", "A", "frames") == nil {
			t.Errorf("an anonymous query: %d %v; %d queries came to Prometheus, authorised as %q", status, d, n, authorization)
		}
	})
	t.Run("dashboards", func(t *testing.T) {
		names, err := fs.Glob(compose.Dashboards(), "*.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(compose.Dashboards(), name)
			if err != nil {
				t.Fatal(err)
			}
			var ours struct{ UID, Title string }
			if err := json.Unmarshal(text, &ours); err != nil {
				t.Fatal(err)
			}
			var status int
			var d map[string]any
			for range 100 { // Grafana answers before it has taken up all dashboards
				if status, d = call(t, g, "", http.MethodGet, "/api/dashboards/uid/"+ours.UID, ""); status == http.StatusOK {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if status != http.StatusOK || dig(d, "dashboard", "title") != ours.Title || dig(d, "meta", "provisioned") != true || dig(d, "meta", "canSave") != false {
				t.Errorf("%s: %d %v %v", name, status, dig(d, "dashboard", "title"), d["meta"])
			}
		}
		if _, d := call(t, g, "", http.MethodGet, "/api/dashboards/home", ""); dig(d, "dashboard", "uid") != "stackscope-fleet" {
			t.Errorf("home is %v", dig(d, "dashboard", "uid"))
		}
	})
	t.Run("anonymous", func(t *testing.T) {
		for path, body := range map[string]string{
			"/api/dashboards/db": `{"dashboard":{"title":"x"}}`, "/api/datasources": `{"name":"x","type":"prometheus","access":"proxy"}`, "/api/admin/users": `{"name":"x","password":"xxxxxxxx","login":"x"}`,
		} {
			if status, _ := call(t, g, "", http.MethodPost, path, body); status != http.StatusUnauthorized && status != http.StatusForbidden {
				t.Errorf("POST %s: %d", path, status)
			}
		}
		if status, d := call(t, g, "", http.MethodGet, "/api/frontend/settings", ""); status != http.StatusOK || d["anonymousEnabled"] == false || dig(d, "auth", "disableLogin") == true {
			t.Errorf("%d %v", status, d)
		}
	})
	t.Run("settings", func(t *testing.T) {
		_, settings := call(t, g, "admin:grafana", http.MethodGet, "/api/admin/settings", "")
		for path, want := range map[string]string{
			"analytics.reporting_enabled": "false", "analytics.check_for_updates": "false", "analytics.check_for_plugin_updates": "false", "analytics.feedback_links_enabled": "false",
			"security.disable_gravatar": "true", "snapshots.external_enabled": "false", "plugins.plugin_admin_enabled": "false",
			"auth.disable_login_form": "true", "auth.anonymous.enabled": "true", "auth.anonymous.org_role": "Viewer",
			"database.wal": "true", "users.allow_sign_up": "false", "server.enforce_domain": "false", "log.console.format": "json",
			"server.http_addr": "127.0.0.1", "server.serve_from_sub_path": "true", "paths.data": o.Dir,
		} {
			dot := strings.LastIndex(path, ".")
			if got := dig(settings, path[:dot], path[dot+1:]); got != want {
				t.Errorf("%s is %v, want %s", path, got, want)
			}
		}
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.PID))
		if err == nil && !strings.Contains(string(environ), "\x00GOMEMLIMIT=268435456\x00") {
			t.Error("its memory is not limited")
		}
	})
	t.Run("killed", func(t *testing.T) {
		if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		again := await(t, g, "running again", func(n Status) bool { return running(n) && n.PID != s.PID })
		t.Logf("killed, it started again in %s", samples(g)["start_duration_seconds"])
		if !strings.Contains(lines.String(), "next_start_in=1s") {
			t.Error("it waited longer than it should")
		}
		s = again
	})
	stop()
	if alive(s.PID) {
		t.Error("it is still there")
	}

	t.Run("another password", func(t *testing.T) {
		o.AdminPassword = "correct horse"
		g, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, g)
		await(t, g, "running", running)
		t.Logf("second start %s", samples(g)["start_duration_seconds"])
		for user, want := range map[string]int{"admin:grafana": http.StatusUnauthorized, "admin:correct horse": http.StatusOK} {
			if status, _ := call(t, g, user, http.MethodGet, "/api/admin/settings", ""); status != want {
				t.Errorf("as %s: %d, want %d", user, status, want)
			}
		}
		stop()
	})

	for line := range strings.Lines(lines.String()) {
		expected := strings.Contains(line, "signal: killed") || strings.Contains(line, "Dashboard not found")
		if strings.Contains(line, "level=ERROR") && !expected {
			t.Errorf("logged %s", line)
		}
		if strings.Contains(line, "level=WARN") {
			t.Logf("logged %s", line)
		}
		if strings.Contains(line, "a-token$of") || strings.Contains(line, "correct horse") {
			t.Errorf("a secret in the log: %s", line)
		}
	}
}

// Users may reach Grafana under another path, or at the root of a host of its own; and an operator's own database has the
// chosen password from the first start on.
func TestGrafanaElsewhere(t *testing.T) { simgrafana.Each(t, testGrafanaElsewhere) }

func testGrafanaElsewhere(t *testing.T, home string) { //nolint:thelper // the body of a test: its own lines are wanted
	theirs := filepath.Join(t.TempDir(), "theirs.db")
	for _, c := range []struct{ external, path, password string }{
		{"https://obs.example.com/a/b/grafana", "/a/b/grafana", "correct horse"},
		{"http://obs.example.com", "", "battery staple"}, // the database is there by now, with the other password
	} {
		o := valid()
		o.Home, o.Dir, o.ExternalURL, o.AdminPassword = home, t.TempDir(), c.external, c.password
		o.Environ = append(simgrafana.Environ(), "GF_DATABASE_PATH="+theirs, "GF_AUTH_DISABLE_LOGIN_FORM=false")
		g, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, g)
		await(t, g, "running", running)
		server := serve(t, g.Handler(), (*httptest.Server).Start)
		credentials := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+c.password))
		response, body := ask(t, server, "GET", "/grafana/api/frontend/settings", nil, credentials)
		var settings struct{ AppURL, AppSubURL string }
		if err := json.Unmarshal([]byte(body), &settings); err != nil || response.StatusCode != http.StatusOK || settings.AppSubURL != c.path || settings.AppURL != c.external+"/" {
			t.Errorf("%s: %d %+v, %v", c.external, response.StatusCode, settings, err)
		}
		response, body = ask(t, server, "POST", "/grafana/login", strings.NewReader(`{"user":"admin","password":"`+c.password+`"}`), "Content-Type: application/json")
		cookie := sessionOf(response)
		if response.StatusCode != http.StatusOK || cookie == nil {
			t.Fatalf("%s: login: %d %s", c.external, response.StatusCode, body)
		}
		if got := strings.TrimSuffix(cookie.Path, "/"); got != c.path || cookie.Secure != strings.HasPrefix(c.external, "https:") {
			t.Errorf("%s: cookie %s", c.external, cookie)
		}
		stop()
	}
}

// A database that Grafana can't go on with is a reason, not a riddle.
func TestGrafanaWithABrokenDatabase(t *testing.T) { simgrafana.Each(t, testGrafanaWithABrokenDatabase) }

func testGrafanaWithABrokenDatabase(t *testing.T, home string) { //nolint:thelper // the body of a test: its own lines are wanted
	o := valid()
	o.Home, o.Dir, o.Environ = home, t.TempDir(), simgrafana.Environ()
	if err := os.WriteFile(filepath.Join(o.Dir, "grafana.db"), []byte("this is no database at all, by any means"), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, g)
	s := await(t, g, "waiting", waiting)
	t.Log(s.Reason)
	if !strings.Contains(s.Reason, "not a database") || !strings.Contains(s.Reason, "grafana.db is of another Grafana version or damaged") {
		t.Errorf("reason %q", s.Reason)
	}
}

// Each setting of ours is one that this Grafana has, except those that came after 10.0.
func TestGrafanaHasOurSettings(t *testing.T) { simgrafana.Each(t, testGrafanaHasOurSettings) }

func testGrafanaHasOurSettings(t *testing.T, home string) { //nolint:thelper // the body of a test: its own lines are wanted
	text, err := os.ReadFile(filepath.Join(home, "conf", "defaults.ini"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	section := ""
	head, key := regexp.MustCompile(`^\[(.+)\]`), regexp.MustCompile(`^([A-Za-z_0-9]+)\s*=`)
	name := strings.NewReplacer(".", "_", "-", "_")
	for line := range strings.Lines(string(text)) {
		if m := head.FindStringSubmatch(line); m != nil {
			section = m[1]
		} else if m := key.FindStringSubmatch(line); m != nil {
			known["GF_"+strings.ToUpper(name.Replace(section+"_"+m[1]))] = true
		}
	}
	later := []string{"GF_NEWS_NEWS_FEED_ENABLED", "GF_PLUGINS_PREINSTALL_AUTO_UPDATE", "GF_PLUGINS_PREINSTALL_DISABLED", "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED"}
	for line := range strings.Lines(environment(t, valid())) {
		setting, _, _ := strings.Cut(line, "=")
		if strings.HasPrefix(setting, "GF_") && !known[setting] && !slices.Contains(later, setting) {
			t.Errorf("Grafana has no setting for %s", setting)
		}
	}
}
