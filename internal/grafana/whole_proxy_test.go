package grafana

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simgrafana"
)

// TestGrafanaThroughTheProxy logs in, looks and listens as browsers do: straight, under TLS, and behind proxies.
func TestGrafanaThroughTheProxy(t *testing.T) { simgrafana.Each(t, testGrafanaThroughTheProxy) }

func testGrafanaThroughTheProxy(t *testing.T, home string) { //nolint:thelper // the body of a test: its own lines are wanted
	o := valid()
	o.Home, o.Dir, o.Tokens = home, t.TempDir(), []string{"a-token-of-ours"}
	o.Environ = append(simgrafana.Environ(), "GF_AUTH_DISABLE_LOGIN_FORM=false", "GF_AUTH_PROXY_ENABLED=true") // the worst that an operator may set
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, g)
	await(t, g, "running", running)

	plain := serve(t, g.Handler(), (*httptest.Server).Start)
	secure := serve(t, g.Handler(), (*httptest.Server).StartTLS)
	back, err := url.Parse(plain.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := func(keepHost bool) *httptest.Server { // ends TLS
		return serve(t, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(back)
			r.SetXForwarded()
			if keepHost {
				r.Out.Host = r.In.Host
			}
		}}, (*httptest.Server).StartTLS)
	}
	for name, server := range map[string]*httptest.Server{
		"straight": plain, "TLS": secure, "behind a proxy": front(true), "behind a proxy that changes Host": front(false),
	} {
		t.Run(name, func(t *testing.T) { browse(t, server) })
	}

	t.Run("Live", func(t *testing.T) {
		addr := plain.Listener.Addr().String()
		for _, tc := range []struct {
			headers []string
			want    int
		}{
			{[]string{"Origin: http://" + addr}, http.StatusSwitchingProtocols},
			{[]string{"Host: obs.example.com", "Origin: http://obs.example.com"}, http.StatusSwitchingProtocols},
			{[]string{"Host: obs.example.com", "Origin: https://obs.example.com", "X-Forwarded-Proto: https", "X-Forwarded-Host: obs.example.com"}, http.StatusSwitchingProtocols},
			{[]string{"Origin: https://obs.example.com", "X-Forwarded-Proto: https", "X-Forwarded-Host: obs.example.com"}, http.StatusSwitchingProtocols},
			{[]string{"Origin: http://evil.example.com"}, http.StatusForbidden},
			{[]string{"Host: obs.example.com", "Origin: http://obs.example.com.evil.example"}, http.StatusForbidden},
		} {
			conn, resp := websocket(t, addr, "/grafana/api/live/ws", tc.headers...)
			if resp.StatusCode != tc.want {
				t.Errorf("%q: %s, want %d", tc.headers, resp.Status, tc.want)
			}
			_ = conn.Close()
		}
	})
	t.Run("credentials", func(t *testing.T) {
		if resp, body := ask(t, plain, "POST", "/grafana/login", strings.NewReader(`{"user":"admin","password":"guessed"}`), "Content-Type: application/json"); resp.StatusCode != http.StatusUnauthorized || sessionOf(resp) != nil {
			t.Errorf("login with a wrong password: %d %s", resp.StatusCode, body)
		}
		for header, want := range map[string]int{
			"Authorization: Bearer a-token-of-ours":     http.StatusUnauthorized, // anonymous, whom /api/user knows nothing of
			"X-WEBAUTH-USER: admin":                     http.StatusUnauthorized,
			"Authorization: Basic YWRtaW46Z3JhZmFuYQ==": http.StatusOK, // admin:grafana
			"Authorization: Bearer glsa_unknown":        http.StatusUnauthorized,
		} {
			if resp, body := ask(t, plain, "GET", "/grafana/api/user", nil, header); resp.StatusCode != want {
				t.Errorf("%s: %d %s, want %d", header, resp.StatusCode, body, want)
			}
			resp, body := ask(t, plain, "GET", "/grafana/api/dashboards/home", nil, header)
			if passed := !strings.Contains(header, "glsa"); (resp.StatusCode == http.StatusOK) != passed {
				t.Errorf("%s: the home dashboard: %d %.200s", header, resp.StatusCode, body)
			}
		}
	})
	t.Run("pages", func(t *testing.T) {
		if _, err := os.Stat(filepath.Join(o.Home, "public", "views", "index.html")); err != nil {
			t.Skip("this Grafana has no pages: ", err)
		}
		resp, page := ask(t, plain, "GET", "/grafana/", nil, "Accept: text/html")
		assets := regexp.MustCompile(`(?:src|href)="([^"]*public/build/[^"]+)"`).FindAllStringSubmatch(page, -1)
		if resp.StatusCode != http.StatusOK || !strings.Contains(page, `<base href="/grafana/"`) || len(assets) == 0 {
			t.Fatalf("%d, %d assets: %.400s", resp.StatusCode, len(assets), page)
		}
		base, _ := url.Parse(plain.URL + "/grafana/")
		for _, m := range assets {
			u, err := base.Parse(m[1])
			if err != nil {
				t.Fatal(err)
			}
			if resp, _ := ask(t, plain, "GET", u.RequestURI(), nil); resp.StatusCode != http.StatusOK || !strings.HasPrefix(u.Path, "/grafana/") {
				t.Errorf("%s: %d", u, resp.StatusCode)
			}
		}
	})
}

// browse does what a browser does at server.
func browse(t *testing.T, server *httptest.Server) {
	t.Helper()
	resp, home := ask(t, server, "GET", "/grafana/api/dashboards/home", nil)
	var dashboard struct{ Dashboard struct{ UID string } }
	if err := json.Unmarshal([]byte(home), &dashboard); err != nil || resp.StatusCode != http.StatusOK || dashboard.Dashboard.UID == "" {
		t.Errorf("an anonymous viewer's home: %d %.200s", resp.StatusCode, home)
	}
	origin := "Origin: " + server.URL
	resp, body := ask(t, server, "POST", "/grafana/login", strings.NewReader(`{"user":"admin","password":"grafana"}`), "Content-Type: application/json", origin)
	cookie := sessionOf(resp)
	if resp.StatusCode != http.StatusOK || cookie == nil {
		t.Fatalf("login: %d %s %v", resp.StatusCode, body, resp.Header)
	}
	if strings.TrimSuffix(cookie.Path, "/") != "/grafana" || !cookie.HttpOnly || cookie.Secure {
		t.Errorf("cookie %s", cookie)
	}
	session := cookie.Name + "=" + cookie.Value
	for method, wants := range map[string]struct {
		path, body string
		status     int
	}{
		"GET":  {"/grafana/api/user", "", http.StatusOK},
		"POST": {"/grafana/api/folders", `{"title":"` + time.Now().String() + `"}`, http.StatusOK},
		"PUT":  {"/grafana/api/user/preferences", `{"theme":"dark"}`, http.StatusOK},
	} {
		var sent io.Reader
		if wants.body != "" {
			sent = strings.NewReader(wants.body)
		}
		resp, body := ask(t, server, method, wants.path, sent, "Cookie: "+session, "Content-Type: application/json", origin)
		if resp.StatusCode != wants.status {
			t.Errorf("%s %s as admin: %d %s", method, wants.path, resp.StatusCode, body)
		}
	}
	resp, body = ask(t, server, "PUT", "/grafana/api/user/preferences", strings.NewReader(`{"theme":"light"}`), "Cookie: "+session, "Content-Type: application/json", "Origin: http://evil.example.com")
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another site changed something: %d %s", resp.StatusCode, body)
	}
	resp, _ = ask(t, server, "GET", "/grafana/logout", nil, "Cookie: "+session, "Accept: text/html")
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || !strings.HasPrefix(got, "/grafana/login") {
		t.Errorf("logout: %d to %q", resp.StatusCode, got)
	}
	if resp, _ := ask(t, server, "GET", "/grafana/api/user", nil, "Cookie: "+session); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the logout its cookie still holds: %d", resp.StatusCode)
	}
}

// sessionOf returns the cookie that a login sets.
func sessionOf(resp *http.Response) *http.Cookie {
	for _, c := range resp.Cookies() {
		if c.Name == "grafana_session" {
			return c
		}
	}
	return nil
}
