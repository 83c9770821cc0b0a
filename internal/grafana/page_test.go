package grafana

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/paths"
)

// quiet returns a server at which no Grafana answers.
func quiet(t *testing.T, s Status) *httptest.Server {
	t.Helper()
	o := upstreamOf(t, func(http.ResponseWriter, *http.Request) { t.Error("was passed on") })
	o.Upstream = func() (string, bool) { return "", false }
	o.Status = func() Status { return s }
	return serve(t, newProxy(o), (*httptest.Server).Start)
}

func statuses() map[Phase]Status {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return map[Phase]Status{
		PhaseAbsent:   {Phase: PhaseAbsent, Reason: "Grafana was not found; searched /usr/share/grafana, PATH"},
		PhaseStarting: {Phase: PhaseStarting, Since: since, PID: 7},
		PhaseWaiting:  {Phase: PhaseWaiting, Since: since, Next: since.Add(8 * time.Second), Restarts: 3, Reason: `it ended: exit status 1: <script>alert("x")</script>`},
		PhaseStopped:  {Phase: PhaseStopped, Since: since},
		PhaseRunning:  {Phase: PhaseRunning, Since: since}, // it has just come up, or is going down
	}
}

// TestStrangersAreNotToldWhereFilesAre: who may know is told all of it.
func TestStrangersAreNotToldWhereFilesAre(t *testing.T) {
	for _, s := range []Status{
		{Phase: PhaseAbsent, Reason: "Grafana was not found; searched /srv/data/grafana-home, /usr/share/grafana, PATH"},
		{Phase: PhaseWaiting, Reason: "no space left: free space on the disk that holds /srv/data/grafana, or choose another with --data-dir"},
		{Phase: PhaseWaiting, Reason: "/opt/telling/bin/grafana cannot be started: permission denied"},
	} {
		p := &proxy{opts: proxyOptions{
			Prefix: "/grafana", Upstream: func() (string, bool) { return "", false }, Status: func() Status { return s }, Dir: paths.Hide("/srv/data/grafana", "DATA_DIR/grafana"),
		}}
		for knows, accept := range map[bool]string{true: "application/json", false: "text/html"} {
			r := httptest.NewRequestWithContext(paths.WithClient(t.Context(), func() bool { return knows }), http.MethodGet, "/grafana/explore", http.NoBody)
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			text := w.Body.String()
			if told := strings.Contains(text, "/srv/") || strings.Contains(text, "/opt/") || strings.Contains(text, "/usr/"); told != knows {
				t.Errorf("%s, knows %v: %s", s.Reason, knows, text)
			}
			if !knows && !strings.Contains(text, "log") {
				t.Errorf("%s: where to look isn't said: %s", s.Reason, text)
			}
		}
	}
}

func TestPages(t *testing.T) {
	retry := map[Phase]string{PhaseStarting: "2", PhaseWaiting: "5", PhaseRunning: "2"}
	for phase, s := range statuses() {
		t.Run(string(phase), func(t *testing.T) {
			server, path := quiet(t, s), "/grafana/d/uid/name?x=1"
			if phase == PhaseAbsent {
				path = "/grafana/explore" // the console has dashboards alone
			}
			resp, page := ask(t, server, "GET", path, nil, "Accept: text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode: navigate")
			golden(t, "page-"+string(phase)+".html", page)
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" || resp.Header.Get("Retry-After") != retry[phase] || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v", resp.StatusCode, resp.Header)
			}
			if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") {
				t.Errorf("policy %q", csp)
			}
			if strings.Contains(page, "<script") || regexp.MustCompile(`(src|href)="(https?:|//)`).MatchString(page) {
				t.Error("the page runs or loads something")
			}
			if got, want := strings.Contains(page, `http-equiv="refresh"`), retry[phase] != ""; got != want {
				t.Errorf("reloads by itself: %v, want %v", got, want)
			}
			head, body := ask(t, server, "HEAD", path, nil, "Accept: text/html")
			if head.StatusCode != resp.StatusCode || body != "" || head.ContentLength != int64(len(page)) {
				t.Errorf("HEAD: %d, length %d, want %d", head.StatusCode, head.ContentLength, len(page))
			}
		})
	}
}

func TestProgramsGetAProblemInTheSameWords(t *testing.T) {
	for phase, s := range statuses() {
		server := quiet(t, s)
		for _, tc := range []struct{ method, path, accept string }{
			{"GET", "/grafana/", "*/*"},
			{"GET", "/grafana/", "application/json, text/plain, */*"},
			{"GET", "/grafana/api/health", "text/html"},
			{"POST", "/grafana/login", "text/html"},
			{"PATCH", "/grafana/api/folders/x", ""},
		} {
			resp, body := ask(t, server, tc.method, tc.path, nil, "Accept: "+tc.accept)
			var problem struct {
				Title, Detail string
				Status        int
			}
			if err := json.Unmarshal([]byte(body), &problem); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%s %v: %s", phase, tc, body)
			}
			if problem.Status != 503 || resp.StatusCode != 503 || problem.Title == "" || !strings.Contains(problem.Detail, strings.Split(s.Reason, ";")[0]) {
				t.Errorf("%s %v: %s", phase, tc, body)
			}
			if phase == PhaseAbsent && !strings.Contains(problem.Detail, "stackscope grafana install") {
				t.Errorf("does not say what to do: %s", body)
			}
		}
		// A script of a page that asks for HTML isn't a person.
		if resp, _ := ask(t, server, "GET", "/grafana/x", nil, "Accept: text/html", "Sec-Fetch-Mode: cors"); resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: a script got %s", phase, resp.Header.Get("Content-Type"))
		}
	}
}

func TestLinkToPrometheus(t *testing.T) {
	for path, want := range map[string]string{
		"/grafana/":        "../prometheus/",
		"/grafana/d/a/b":   "../../../prometheus/",
		"/grafana/d/a%2Fb": "../../prometheus/",
	} {
		if _, page := ask(t, quiet(t, Status{Phase: PhaseStarting}), "GET", path, nil, "Accept: text/html"); !strings.Contains(page, `href="`+want+`"`) {
			t.Errorf("%s: no link to %s in\n%s", path, want, page)
		}
	}
}
