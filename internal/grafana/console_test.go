package grafana

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// navigations maps what browsers ask for under /grafana to where the console shows it; empty: nowhere.
var navigations = map[string]string{
	"/grafana/":           "/dashboards",
	"/grafana/?orgId=1":   "/dashboards?orgId=1",
	"/grafana/dashboards": "/dashboards",
	"/grafana/d/gpustack-model/gpustack-model?var-model_name=Qwen%2FQwen3&var-x=a+b&from=now-6h&to=now": "/d/gpustack-model/gpustack-model?var-model_name=Qwen%2FQwen3&var-x=a+b&from=now-6h&to=now",
	"/grafana/d/stackscope-fleet":       "/d/stackscope-fleet",
	"/grafana/d/my%2Fuid/slug?a=%zz":    "/d/my%2Fuid/slug?a=%zz",
	"/grafana/d/%2F%2Fevil.example/%2F": "/d/%2F%2Fevil.example/%2F",
	"/grafana/d/a/b/c":                  "",
	"/grafana/d/":                       "",
	"/grafana/explore":                  "",
	"/grafana/login":                    "",
}

// landing resolves a redirect as a browser does.
func landing(t *testing.T, asked, location string) string {
	t.Helper()
	base, err := url.Parse("http://gpu-head" + asked)
	if err != nil {
		t.Fatal(err)
	}
	to, err := base.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	if to.Host != base.Host {
		t.Errorf("%s leads to %s", asked, to)
	}
	return to.RequestURI()
}

// TestConsoleInPlaceOfGrafana: all are led to the same dashboard with the same variables and time, browsers from Grafana's other pages, too.
// Programs are told there what is missing.
func TestConsoleInPlaceOfGrafana(t *testing.T) {
	off := Off("/grafana", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "it is turned off")
	}))
	for name, c := range map[string]struct {
		server    *httptest.Server
		otherwise int
	}{
		"absent":     {quiet(t, Status{Phase: PhaseAbsent}), http.StatusServiceUnavailable},
		"turned off": {serve(t, off, (*httptest.Server).Start), http.StatusNotFound},
	} {
		for path, want := range navigations {
			resp, _ := ask(t, c.server, "GET", path, nil, "Accept: text/html,*/*;q=0.8")
			if want == "" {
				if resp.StatusCode != c.otherwise {
					t.Errorf("%s: %s: %d, want %d", name, path, resp.StatusCode, c.otherwise)
				}
				continue
			}
			if got := landing(t, path, resp.Header.Get("Location")); resp.StatusCode != http.StatusFound || got != want || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %s: %d to %s %v, want %s", name, path, resp.StatusCode, got, resp.Header, want)
			}
			toPrograms := c.otherwise
			if strings.HasPrefix(path, "/grafana/d/") {
				toPrograms = http.StatusFound
			}
			for _, program := range [][]string{{"Accept: */*"}, {"Accept: application/json"}, {"Accept: text/html", "Sec-Fetch-Mode: cors"}} {
				if resp, _ := ask(t, c.server, "GET", path, nil, program...); resp.StatusCode != toPrograms {
					t.Errorf("%s: %s as %v: %d, want %d", name, path, program, resp.StatusCode, toPrograms)
				}
			}
			if resp, _ := ask(t, c.server, "POST", path, nil, "Accept: text/html"); resp.StatusCode != c.otherwise {
				t.Errorf("%s: POST %s: %d, want %d", name, path, resp.StatusCode, c.otherwise)
			}
		}
		if resp, _ := ask(t, c.server, "GET", "/grafana?x=1", nil, "Accept: text/html"); resp.Header.Get("Location") != "grafana/?x=1" {
			t.Errorf("%s: /grafana leads to %q", name, resp.Header.Get("Location"))
		}
	}
}

// TestConsoleBesideGrafana: while a Grafana is starting or has failed, its page links the same dashboard in the console.
func TestConsoleBesideGrafana(t *testing.T) {
	for _, phase := range []Phase{PhaseStarting, PhaseWaiting, PhaseStopped} {
		server := quiet(t, Status{Phase: phase})
		for path, link := range map[string]string{
			"/grafana/d/uid/name?var-a=b&from=now-1h": "../../../d/uid/name?var-a=b&amp;from=now-1h",
			"/grafana/":          "../dashboards",
			"/grafana/explore/x": "../../dashboards",
		} {
			resp, page := ask(t, server, "GET", path, nil, "Accept: text/html")
			if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(page, `<a href="`+link+`">`) {
				t.Errorf("%s: %s: %d, no link to %s: %s", phase, path, resp.StatusCode, link, page)
			}
		}
	}
}
