package console_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/dashboards"
	"github.com/stackscope/stackscope/internal/base/paths"
	"github.com/stackscope/stackscope/internal/console"
	"github.com/stackscope/stackscope/web"
)

const (
	indexHTML = "<!doctype html><title>stackscope</title>"
	script    = "console/assets/index-C-wGdEW_.js"
	icon      = "console/assets/icon-kdZP1ei2.png"
)

var scriptText = strings.Repeat("export const a = 1;\n", 500)

func files() fstest.MapFS {
	return fstest.MapFS{
		"index.html": {Data: []byte(indexHTML)}, script: {Data: []byte(scriptText)}, icon: {Data: []byte("\x89PNG")},
		"console/secret.txt": {Data: []byte("not an asset")},
	}
}

func newConsole(t *testing.T, change ...func(*console.Options)) http.Handler {
	t.Helper()
	o := console.Options{
		Files: files(), Version: "v1", TokenPath: "/srv/data/worker-token",
		Grafana: func(context.Context) console.Grafana { return console.Grafana{Phase: "absent", URL: "/grafana/"} },
	}
	for _, f := range change {
		f(&o)
	}
	c, err := console.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, handlers := range []map[string]http.Handler{c.Pages(), c.Data()} {
		for pattern, h := range handlers {
			mux.Handle(pattern, h)
		}
	}
	return mux
}

func get(t *testing.T, h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// pages are those that the browser routes.
var pages = []string{"/", "/d/stackscope-fleet", "/d/stackscope-fleet/?from=now-1h", "/d/gpustack-model/gpustack-model?var-model_name=a%2Fb", "/dashboards", "/doctor", "/models", "/models/3", "/instances", "/instances/5", "/workers", "/workers/7", "/gpus", "/mapping"}

// TestScrapeIntervalIsInThePage: the built page has the place where it is written.
func TestScrapeIntervalIsInThePage(t *testing.T) {
	files, ok := web.Console()
	if !ok {
		t.Fatal("the console is not built: run make console")
	}
	for every, want := range map[time.Duration]string{0: "15", time.Minute: "60", 1500 * time.Millisecond: "1.5"} {
		h := newConsole(t, func(o *console.Options) { o.Files, o.ScrapeInterval = files, every })
		if body := get(t, h, "/").Body.String(); !strings.Contains(body, `<meta name="scrape-interval" content="`+want+`"`) {
			t.Errorf("%s: %s", every, body)
		}
	}
}

// TestPages: each is the same page, which browsers ask for again, under a policy that runs nothing but the build's own files.
func TestPages(t *testing.T) {
	h := newConsole(t)
	for _, path := range pages {
		w := get(t, h, path)
		want := map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		}
		for name, value := range want {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got, value)
			}
		}
		tag := w.Header().Get("ETag")
		if w.Code != http.StatusOK || w.Body.String() != indexHTML || !strings.HasPrefix(tag, `"`) {
			t.Errorf("%s: %d %q %s", path, w.Code, tag, w.Body)
		}
		if again := get(t, h, path, "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s again: %d", path, again.Code)
		}
	}
	other := newConsole(t, func(o *console.Options) { o.Files = fstest.MapFS{"index.html": {Data: []byte("another build")}} })
	if get(t, other, "/").Header().Get("ETag") == get(t, h, "/").Header().Get("ETag") {
		t.Error("two builds have one ETag")
	}
	for _, path := range []string{"/models/", "/d/", "/d/a/b/c", "/console/", "/console/assets/", "/index.html"} {
		if w := get(t, h, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestPolicyHasNoHoles(t *testing.T) {
	for _, ancestors := range [][]string{nil, {"self"}, {"https://portal.example.com", "http://10.0.0.1:8080", "https://*.example.com:*"}} {
		h := newConsole(t, func(o *console.Options) { o.FrameAncestors = ancestors })
		for _, path := range append([]string{"/" + script, "/console/assets/none.js"}, pages...) {
			csp := get(t, h, path).Header().Get("Content-Security-Policy")
			if strings.Contains(csp, "unsafe") || !strings.HasPrefix(csp, "default-src 'none';") {
				t.Errorf("%s: %q", path, csp)
			}
			rest, framing, _ := strings.Cut(csp, "; frame-ancestors ")
			if strings.ContainsAny(rest, "*") || strings.Contains(rest, "http") {
				t.Errorf("%s: another host is allowed: %q", path, csp)
			}
			want := "'none'"
			if len(ancestors) > 0 {
				want = strings.ReplaceAll(strings.Join(ancestors, " "), "self", "'self'")
			}
			if framing != want {
				t.Errorf("%s: frame-ancestors %q, want %q", path, framing, want)
			}
		}
	}
	for _, bad := range []string{"", "*", "'self'", "none", "portal.example.com", "javascript:x", "https://a b", "https://a;script-src *", "https://a/path", "https://", "https://*"} {
		if console.CheckFrameAncestor(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
		if _, err := console.New(console.Options{FrameAncestors: []string{bad}}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestCommittedPages obey the policy: no inline script or style, and nothing of another host.
func TestCommittedPages(t *testing.T) {
	built, ok := web.Console()
	if !ok {
		t.Skip("built without the console")
	}
	h := newConsole(t, func(o *console.Options) { o.Files = built })
	page := get(t, h, "/").Body.String()
	if found := regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>[^<]|<style|\sstyle=|\son\w+=|(?:src|href)="(?:https?:|//)`).FindString(page); found != "" {
		t.Errorf("the page has %q", found)
	}
	named := regexp.MustCompile(`(?:src|href)="(/console/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(named) < 2 {
		t.Errorf("the page names %d files", len(named))
	}
	for _, m := range named {
		if w := get(t, h, m[1]); w.Code != http.StatusOK || strings.HasPrefix(w.Header().Get("Content-Type"), "application/octet-stream") {
			t.Errorf("%s: %d %s", m[1], w.Code, w.Header().Get("Content-Type"))
		}
	}
}

func TestAssets(t *testing.T) {
	h := newConsole(t)
	plain := get(t, h, "/"+script)
	if plain.Body.String() != scriptText || plain.Header().Get("Content-Encoding") != "" || plain.Header().Get("Content-Length") != fmt.Sprint(len(scriptText)) {
		t.Errorf("plain: %d %v", plain.Code, plain.Header())
	}
	packed := get(t, h, "/"+script, "Accept-Encoding", "gzip, br")
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || string(text) != scriptText || packed.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("gzip: %v %v", err, packed.Header())
	}
	for _, w := range []*httptest.ResponseRecorder{plain, packed} {
		if got := w.Header(); got.Get("Content-Type") != "text/javascript; charset=utf-8" || got.Get("Cache-Control") != "public, max-age=31536000, immutable" || got.Get("Vary") != "Accept-Encoding" || got.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%v", got)
		}
	}
	if w := get(t, h, "/"+icon, "Accept-Encoding", "gzip"); w.Header().Get("Content-Encoding") != "" || w.Body.String() != "\x89PNG" || w.Header().Get("Content-Type") != "image/png" {
		t.Errorf("%v", w.Header())
	}
	if w := get(t, h, "/"+script, "If-None-Match", plain.Header().Get("ETag")); w.Code != http.StatusNotModified {
		t.Errorf("again: %d", w.Code)
	}
	for _, path := range []string{"/console/assets/none.js", "/console/assets/..%2fsecret.txt", "/console/assets/..%2f..%2findex.html", "/console/assets/.", "/console/assets/%00"} {
		if w := get(t, h, path); w.Code != http.StatusNotFound && w.Code/100 != 3 || strings.Contains(w.Body.String(), "not an asset") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// countingFS counts the files that are opened.
type countingFS struct {
	fs.FS
	opened int
}

func (c *countingFS) Open(name string) (fs.File, error) {
	c.opened++
	return c.FS.Open(name)
}

// TestNothingIsMadeBeforeItIsAskedFor, and each thing once.
func TestNothingIsMadeBeforeItIsAskedFor(t *testing.T) {
	counting := &countingFS{FS: files()}
	made := 0
	h := newConsole(t, func(o *console.Options) {
		o.Files = counting
		o.Dashboards = func() []dashboards.Dashboard { made++; return dashboards.All() }
	})
	if counting.opened != 0 || made != 0 {
		t.Errorf("%d files, %d times the dashboards at the start", counting.opened, made)
	}
	for range 3 {
		_ = get(t, h, "/")
		_ = get(t, h, "/"+script)
		_ = get(t, h, "/console/dashboards")
		_ = get(t, h, "/console/dashboards/stackscope-fleet")
	}
	if counting.opened > 3 || made != 2 { // the page, and the script's state and content
		t.Errorf("%d files opened, %d times the dashboards", counting.opened, made)
	}
}

func TestWithoutABuild(t *testing.T) {
	h := newConsole(t, func(o *console.Options) { o.Files = nil })
	if w := get(t, h, "/"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "hack/build-console") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(t, h, "/console/assets/x.js"); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestDashboards(t *testing.T) {
	h := newConsole(t, func(o *console.Options) {
		o.Aliases = map[string]string{"team-workers": "gpustack-worker", "stackscope-fleet": "gpustack-worker"}
	})
	var list struct {
		Items []struct{ UID, Title, Description, Slug string }
	}
	w := get(t, h, "/console/dashboards")
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%v %s", err, w.Body)
	}
	var want, got []string
	for _, d := range dashboards.All() {
		want = append(want, d.UID)
	}
	for _, item := range list.Items {
		got = append(got, item.UID)
		if item.Title == "" || item.Description == "" || !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(item.Slug) {
			t.Errorf("%+v", item)
		}
		var view dashboards.View
		w := get(t, h, "/console/dashboards/"+item.UID)
		if err := json.Unmarshal(w.Body.Bytes(), &view); err != nil || view.UID != item.UID || len(view.Rows) == 0 || w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %v %v", item.UID, err, w.Header())
		}
		if again := get(t, h, "/console/dashboards/"+item.UID, "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified {
			t.Errorf("%s again: %d", item.UID, again.Code)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A dashboard of the operator's own in Grafana: the console has ours for the same purpose.
	own, builtin := get(t, h, "/console/dashboards/team-workers"), get(t, h, "/console/dashboards/gpustack-worker")
	if own.Code != http.StatusOK || !bytes.Equal(own.Body.Bytes(), builtin.Body.Bytes()) {
		t.Errorf("an alias: %d %.100s", own.Code, own.Body)
	}
	if w := get(t, h, "/console/dashboards/nobodys"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `\"nobodys\"`) || !strings.Contains(w.Body.String(), "stackscope-fleet") || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestJoinCommands(t *testing.T) {
	for _, c := range []struct {
		host, from, server string
		knows              bool
		want               string
	}{
		{host: "gpu-head:8080", from: "10.0.0.7", want: "stackscope-worker --server-url http://gpu-head:8080 --token-file DATA_DIR/worker-token"},
		{host: "gpu-head", knows: true, want: "stackscope-worker --server-url http://gpu-head --token-file /srv/data/worker-token"},
		{host: "localhost:8080", from: "10.0.0.7", want: "stackscope-worker --server-url http://10.0.0.7:8080 --token-file DATA_DIR/worker-token"},
		{host: "[::1]:8080", from: "fd00::7", want: "stackscope-worker --server-url 'http://[fd00::7]:8080' --token-file DATA_DIR/worker-token"},
		{host: "127.0.0.1", want: "stackscope-worker --server-url http://127.0.0.1 --token-file DATA_DIR/worker-token"},
		{host: "localhost", from: "10.0.0.7", server: "https://obs.example.com", want: "stackscope-worker --server-url https://obs.example.com --token-file DATA_DIR/worker-token"},
		{host: "a;reboot'x", want: `stackscope-worker --server-url 'http://a;reboot'\''x' --token-file DATA_DIR/worker-token`},
	} {
		h := newConsole(t, func(o *console.Options) {
			o.ServerURL, o.ReachedFrom = c.server, func(context.Context) string { return c.from }
		})
		r := httptest.NewRequestWithContext(paths.WithClient(t.Context(), func() bool { return c.knows }), http.MethodGet, "/console/settings", http.NoBody)
		r.Host = c.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var got console.Settings
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.JoinCommand != c.want || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %s, want %s", c.host, err, got.JoinCommand, c.want)
		}
	}
}
