package server

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/accesstable"
)

// TestAccessByOtherMethods: a path answers the methods that it is registered for and no other, whoever asks.
func TestAccessByOtherMethods(t *testing.T) {
	a := startForAccess(t, func(*Options) {})
	for _, l := range a.listeners() {
		methods := map[string][]string{}
		for _, r := range a.routes(l) {
			for _, other := range a.routes(l) {
				if other.Path() == r.Path() || matches(r.Path(), other.Path()) {
					methods[other.Path()] = append(methods[other.Path()], r.Method())
				}
			}
		}
		for path, known := range methods {
			if slices.Contains(known, "") || strings.HasSuffix(path, "...}") {
				continue // all methods, or all paths
			}
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY", "PROPFIND"} {
				if slices.Contains(known, method) || method == "HEAD" && slices.Contains(known, "GET") {
					continue
				}
				if method == http.MethodOptions && strings.HasPrefix(path, prometheusPrefix+"/api/v1/") {
					continue // says which methods there are
				}
				for _, as := range accessAskers {
					if _, status := a.ask(l, method, accesstable.Fill(path, a.parameters(path)), as); status != http.StatusMethodNotAllowed && status != http.StatusNotFound {
						t.Errorf("%s port: %s %s as %q: %d, want 405 or 404", l.name, method, path, as.name, status)
					}
				}
			}
		}
	}
}

// matches reports whether a pattern takes another pattern's path: /v2/workers/{id} takes /v2/workers/register.
func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i] != got[i] && (!strings.HasPrefix(want[i], "{") || got[i] == "" || got[i] == "{$}" || want[i] == "{$}") {
			return false
		}
	}
	return true
}

// TestAccessByOtherSpellings: a path that is written in another way never opens what the path itself doesn't, and redirects lead to
// a path of this server.
func TestAccessByOtherSpellings(t *testing.T) {
	a := startForAccess(t, func(o *Options) { o.DisableAnonymousViewer = true })
	refused := []int{
		http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusBadRequest,
		http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
	}
	stranger := accessAskers[0]
	for _, l := range a.listeners() {
		for _, r := range a.routes(l) {
			if r.Right == "open" || r.Path() == "/{$}" {
				continue
			}
			method := r.Method()
			if method == "" {
				method = http.MethodGet
			}
			path := accesstable.Fill(r.Path(), a.parameters(r.Path()))
			last := strings.LastIndex(path, "/")
			for _, spelt := range []string{
				path + "/", "/" + path, "/." + path, "/x/.." + path, path[:last+1] + "%2f" + path[last+1:], "/" + strings.ReplaceAll(path[1:], "/", "%2f"), path[:last] + "//" + path[last+1:], path + "%2f", path + "%00",
				strings.ToUpper(path), path + ";x", "/healthz/.." + path, "/%2e%2e" + path,
			} {
				if _, status := a.ask(l, method, spelt, stranger); !slices.Contains(refused, status) {
					t.Errorf("%s port: %s %s by a stranger: %d", l.name, method, spelt, status)
				}
			}
		}
	}
}

// TestRedirectsStayHere: what is nearly a path of Prometheus' API is led nowhere else.
func TestRedirectsStayHere(t *testing.T) {
	a := startForAccess(t, func(*Options) {})
	for _, path := range []string{"/query/", "/QUERY", "/labels/", "/x/../query", "//query", "/%2fevil.example/query/", "/%2f%2fevil.example/labels/"} {
		w := httptest.NewRecorder()
		a.handlers[a.main].ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, prometheusPrefix+"/api/v1"+path, http.NoBody))
		if to := w.Header().Get("Location"); to != "" && !strings.HasPrefix(to, prometheusPrefix+"/api/v1/") {
			t.Errorf("%s: %d to %q", path, w.Code, to)
		}
	}
}
