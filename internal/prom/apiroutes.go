package prom

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/common/route"

	"github.com/stackscope/stackscope/internal/base/routes"
)

// apiTable knows the paths that Prometheus' API has registered, below /api/v1. Its router can't list them. It lets through to next
// what is on and asked for by its exact path: the router redirects what is nearly a path to one that lacks the prefix.
type apiTable struct {
	router *route.Router
	paths  []string
	next   http.Handler
}

// turnedOff are the parts of the API that write or are experimental, by how their paths begin.
var turnedOff = []struct{ prefix, why string }{
	{"/admin/", "admin APIs disabled"},
	{"/write", "remote write receiver disabled"},
	{"/otlp/", "OTLP receiver disabled"},
	{"/search/", "search API disabled"},
}

// ServeHTTP implements http.Handler.
func (t *apiTable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, off := range turnedOff {
		if strings.HasPrefix(r.URL.Path, off.prefix) {
			apiError(w, http.StatusNotFound, "unavailable", errors.New(off.why))
			return
		}
	}
	if !slices.ContainsFunc(t.paths, func(path string) bool { return matches(path, r.URL.Path) }) {
		apiError(w, http.StatusNotFound, "not_found", fmt.Errorf("nothing is served at %.100q below /api/v1", r.URL.Path))
		return
	}
	t.next.ServeHTTP(w, r)
}

// matches reports whether a path is exactly one that was registered. The pattern for all paths, which OPTIONS has, is none.
func matches(registered, path string) bool {
	want, got := strings.Split(registered, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, part := range want {
		switch {
		case strings.HasPrefix(part, "*"):
			return false
		case strings.HasPrefix(part, ":"):
			if got[i] == "" {
				return false
			}
		case part != got[i]:
			return false
		}
	}
	return true
}

// note is called by the router for each route that is registered.
func (t *apiTable) note(path string, next http.HandlerFunc) http.HandlerFunc {
	t.paths = append(t.paths, path)
	return next
}

// noMethod is one that nothing is registered for, so that the router answers which methods there are, and no handler is called.
const noMethod = "WHICH"

// routes returns the routes with their methods, below prefix.
func (t *apiTable) routes(prefix string) []routes.Route {
	paths := slices.Compact(slices.Sorted(slices.Values(t.paths)))
	var list []routes.Route
	for _, path := range paths {
		asked := path
		if strings.HasPrefix(path, "/*") {
			asked = "/-" // what only the pattern for everything matches
		}
		var seen headerOnly
		t.router.ServeHTTP(&seen, &http.Request{Method: noMethod, URL: &url.URL{Path: asked}, Header: http.Header{}})
		for method := range strings.SplitSeq(seen.Header().Get("Allow"), ",") {
			if method = strings.TrimSpace(method); method == "" || method == http.MethodOptions && asked == path {
				continue // OPTIONS is one route for all paths
			}
			list = append(list, routes.Route{Pattern: method + " " + prefix + pattern(path)})
		}
	}
	return list
}

// pattern writes the router's parameters, as in /label/:name/values, as a ServeMux has them.
func pattern(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		switch {
		case strings.HasPrefix(part, ":"):
			parts[i] = "{" + part[1:] + "}"
		case strings.HasPrefix(part, "*"):
			parts[i] = "{" + part[1:] + "...}"
		}
	}
	return strings.Join(parts, "/")
}

// headerOnly is a ResponseWriter that keeps the header alone.
type headerOnly struct{ header http.Header }

func (h *headerOnly) Header() http.Header {
	if h.header == nil {
		h.header = make(http.Header)
	}
	return h.header
}
func (*headerOnly) Write(p []byte) (int, error) { return len(p), nil }
func (*headerOnly) WriteHeader(int)             {}

// apiRoutes returns those of Prometheus' own API, once it is there.
func (p *Prometheus) apiRoutes() []routes.Route {
	if c := p.core.Load(); c != nil {
		return c.api.routes(p.opts.PathPrefix + "/api/v1")
	}
	return nil
}
