package grafana

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func externalTo(t *testing.T, target string) http.Handler {
	t.Helper()
	u, _, err := NormalizeURL(target)
	if err != nil {
		t.Fatal(err)
	}
	return External(u, []string{"admin-token-0123456789"}, slog.New(slog.DiscardHandler))
}

func TestPeopleAreRedirected(t *testing.T) {
	for _, target := range []string{"https://obs.example.com", "http://obs.example.com:3000/a/grafana"} {
		server := serve(t, externalTo(t, target), (*httptest.Server).Start)
		for path, want := range map[string]string{
			"/grafana":  "/",
			"/grafana/": "/",
			"/grafana/d/gpustack-worker/x?var-a=b+c&var-a=d%2Fe&from=now-1h": "/d/gpustack-worker/x?var-a=b+c&var-a=d%2Fe&from=now-1h",
			"/grafana/a%2Fb/c":            "/a%2Fb/c",
			"/grafana/d?":                 "/d?",
			"/grafana//evil.example.com/": "//evil.example.com/",
		} {
			for _, header := range []string{"Accept: text/html,*/*", "Sec-Fetch-Mode: navigate"} {
				for _, method := range []string{"GET", "HEAD"} {
					resp, _ := ask(t, server, method, path, nil, header)
					if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || got != target+want {
						t.Errorf("%s %s (%s): %d to %q, want %q", method, path, header, resp.StatusCode, got, target+want)
					}
					if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Vary") != "Accept, Sec-Fetch-Mode" {
						t.Errorf("%s %s (%s): a browser may keep it when the setting is another, or for a script: %v", method, path, header, resp.Header)
					}
				}
			}
		}
	}
}

func TestProgramsArePassedOn(t *testing.T) {
	var got *http.Request
	var body string
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r, string(b)
		w.Header().Add("Set-Cookie", "grafana_session=1; Path=/a/")
		fmt.Fprint(w, "answer")
	}))
	defer target.Close()
	server := serve(t, externalTo(t, target.URL+"/a/"), (*httptest.Server).Start)
	for _, tc := range []struct{ method, path, accept, want string }{
		{"GET", "/grafana/api/search?query=a;b", "application/json", "/a/api/search?query=a;b"},
		{"GET", "/grafana/api/x%2Fy", "*/*", "/a/api/x%2Fy"},
		{"POST", "/grafana/api/ds/query", "text/html", "/a/api/ds/query"},
		{"PATCH", "/grafana", "", "/a/"},
	} {
		resp, answer := ask(t, server, tc.method, tc.path, strings.NewReader("sent"),
			"Accept: "+tc.accept, "Host: ours.example.com", "Authorization: Bearer admin-token-0123456789", "X-WEBAUTH-USER: admin", "X-Forwarded-Host: evil.example.com", "X-Real-IP: 192.0.2.1")
		if resp.StatusCode != http.StatusOK || answer != "answer" || resp.Header.Get("Set-Cookie") == "" {
			t.Errorf("%v: %d %s", tc, resp.StatusCode, answer)
		}
		if got.Method != tc.method || got.RequestURI != tc.want || got.Host != strings.TrimPrefix(target.URL, "http://") || body != "sent" {
			t.Errorf("%v: target saw %s %s at %s with %q", tc, got.Method, got.RequestURI, got.Host, body)
		}
		for _, name := range []string{"Authorization", "X-Webauth-User", "X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-Ip"} {
			if v, ok := got.Header[name]; ok {
				t.Errorf("%v: target saw %s %q", tc, name, v)
			}
		}
	}
	if ask(t, server, "GET", "/grafana/api/user", nil, "Authorization: Bearer glsa_theirs"); got.Header.Get("Authorization") != "Bearer glsa_theirs" {
		t.Error("Grafana's own token did not get through")
	}
}

func TestRedirectsOfTheExternalGrafanaStayOnTheWay(t *testing.T) {
	var target *httptest.Server
	location := ""
	target = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	}))
	defer target.Close()
	server := serve(t, externalTo(t, target.URL+"/a"), (*httptest.Server).Start)
	for in, want := range map[string]string{
		"/a/login?x=1#f":            "/grafana/login?x=1#f",
		target.URL + "/a/api/x%2Fy": "/grafana/api/x%2Fy",
		target.URL + "/a":           "/grafana",
		"other":                     "/grafana/api/other",
		"/abc":                      target.URL + "/abc",
		"https://sso.example.com/a": "https://sso.example.com/a",
		"":                          "",
	} {
		location = in
		resp, _ := ask(t, server, "GET", "/grafana/api/thing", nil)
		got := resp.Header.Get("Location")
		if u, err := resp.Request.URL.Parse(got); err == nil && got != "" {
			got = strings.TrimPrefix(u.String(), server.URL) // as the client understands it
		}
		if got != want {
			t.Errorf("%q: %q (%s), want %q", in, got, resp.Header.Get("Location"), want)
		}
	}
}

func TestExternalGrafanaThatCannotBeReached(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler()) // with a certificate that nobody signed
	defer secure.Close()
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	for target, want := range map[string]string{
		"http://127.0.0.1:1": "connection refused",
		secure.URL:           "certificate is not trusted",
	} {
		server := serve(t, externalTo(t, target), (*httptest.Server).Start)
		resp, body := ask(t, server, "GET", "/grafana/api/health", nil)
		if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, want) || !strings.Contains(body, target) || !strings.Contains(body, "--grafana-url") {
			t.Errorf("%s: %d %s", target, resp.StatusCode, body)
		}
	}
}

func TestWebSocketToAnExternalGrafana(t *testing.T) {
	target := httptest.NewServer(echo(t))
	defer target.Close()
	server := serve(t, externalTo(t, target.URL), (*httptest.Server).Start)
	conn, resp := websocket(t, server.Listener.Addr().String(), "/grafana/api/live/ws", "Accept: text/html")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	says(t, conn, "hello")
}

// itself starts a server whose external Grafana is its own address, as the given function spells it.
func itself(t *testing.T, spell func(server string) string) *httptest.Server {
	t.Helper()
	var h http.Handler
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }), func(s *httptest.Server) {
		h = externalTo(t, spell(s.Listener.Addr().String()))
		s.Start()
	})
}

func TestLoopsAreToldNotFollowed(t *testing.T) {
	server := itself(t, func(addr string) string { return "http://" + addr + "/grafana" })
	resp, body := ask(t, server, "GET", "/grafana/d/x", nil, "Accept: text/html")
	if resp.StatusCode != http.StatusLoopDetected || !strings.Contains(body, "<h1>The Grafana URL leads back to this server</h1>") {
		t.Errorf("a person: %d %s", resp.StatusCode, body)
	}
	resp, body = ask(t, server, "POST", "/grafana/api/x", nil)
	if resp.StatusCode != http.StatusLoopDetected || !strings.Contains(body, "--grafana-url is "+server.URL+"/grafana") {
		t.Errorf("a program: %d %s", resp.StatusCode, body)
	}

	// By another name: the first redirect leads to that one, and from there it goes no further.
	server = itself(t, func(addr string) string {
		_, port, _ := net.SplitHostPort(addr)
		return "http://localhost:" + port + "/grafana"
	})
	resp, _ = ask(t, server, "GET", "/grafana/", nil, "Accept: text/html")
	if !strings.HasPrefix(resp.Header.Get("Location"), "http://localhost:") {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	resp, _ = ask(t, server, "GET", "/grafana/", nil, "Accept: text/html", "Host: "+strings.TrimPrefix(resp.Header.Get("Location"), "http://")[:len("localhost:")]+portOf(server))
	if resp.StatusCode != http.StatusLoopDetected {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func portOf(server *httptest.Server) string {
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	return port
}

// TestGrafanaBesideUsUnderOneHostIsNoLoop has a proxy in front that leads /grafana to Grafana and /stack to us.
func TestGrafanaBesideUsUnderOneHostIsNoLoop(t *testing.T) {
	mux := http.NewServeMux()
	front := serve(t, mux, (*httptest.Server).Start)
	ours := serve(t, externalTo(t, front.URL+"/grafana"), (*httptest.Server).Start)
	mux.HandleFunc("/grafana/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the real one") })
	back, _ := url.Parse(ours.URL)
	mux.Handle("/stack/", http.StripPrefix("/stack", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(back)
		r.Out.Host = r.In.Host
	}}))
	resp, _ := ask(t, front, "GET", "/stack/grafana/d/x", nil, "Accept: text/html")
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || got != front.URL+"/grafana/d/x" {
		t.Errorf("%d to %q", resp.StatusCode, got)
	}
	if _, body := ask(t, front, "GET", "/stack/grafana/api/x", nil); body != "the real one" {
		t.Errorf("got %s", body)
	}
}

func TestAddressKeepsWhatIsEscaped(t *testing.T) {
	for in, want := range map[string]string{
		"/grafana/a b":   "http://h.example/x%2Fy/a%20b",
		"/grafana/a%2Fb": "http://h.example/x%2Fy/a%2Fb",
		"/grafana":       "http://h.example/x%2Fy/",
	} {
		target, _, err := NormalizeURL("http://h.example/x%2Fy")
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		e := &external{target: target}
		r := (&http.Request{URL: u}).WithContext(context.Background())
		if d := cmp.Diff(want, e.address(r).String()); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}
