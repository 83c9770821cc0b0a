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

// apiTable records the paths below /api/v1 that Prometheus' API registers, because its router can't list them. It forwards only exact
// paths: the router would redirect a near miss, such as a trailing slash, to a path without /api/v1.
type apiTable struct {
	router *route.Router
	paths  []string
	next   http.Handler
}

// disabledAPIs are the APIs that write or are experimental, by path prefix.
var disabledAPIs = []struct{ prefix, why string }{
	{"/admin/", "admin APIs disabled"},
	{"/write", "remote write receiver disabled"},
	{"/otlp/", "OTLP receiver disabled"},
	{"/search/", "search API disabled"},
}

// ServeHTTP implements http.Handler.
func (t *apiTable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, off := range disabledAPIs {
		if strings.HasPrefix(r.URL.Path, off.prefix) {
			writeAPIError(w, http.StatusNotFound, "unavailable", errors.New(off.why))
			return
		}
	}
	if !slices.ContainsFunc(t.paths, func(path string) bool { return pathMatches(path, r.URL.Path) }) {
		writeAPIError(w, http.StatusNotFound, "not_found", fmt.Errorf("nothing is served at %.100q below /api/v1", r.URL.Path))
		return
	}
	t.next.ServeHTTP(w, r)
}

// pathMatches reports whether path matches a registered pattern. The catch-all pattern of OPTIONS matches nothing.
func pathMatches(registered, path string) bool {
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

// recordPath is called by the router for each registered route.
func (t *apiTable) recordPath(path string, next http.HandlerFunc) http.HandlerFunc {
	t.paths = append(t.paths, path)
	return next
}

// noMethod is a method without routes: the router then answers with an Allow header and calls no handler.
const noMethod = "WHICH"

// routes returns the routes with their methods, below prefix.
func (t *apiTable) routes(prefix string) []routes.Route {
	paths := slices.Compact(slices.Sorted(slices.Values(t.paths)))
	var list []routes.Route
	for _, path := range paths {
		requested := path
		if strings.HasPrefix(path, "/*") {
			requested = "/-" // only the catch-all pattern matches it
		}
		var seen headerOnly
		t.router.ServeHTTP(&seen, &http.Request{Method: noMethod, URL: &url.URL{Path: requested}, Header: http.Header{}})
		for method := range strings.SplitSeq(seen.Header().Get("Allow"), ",") {
			if method = strings.TrimSpace(method); method == "" || method == http.MethodOptions && requested == path {
				continue // OPTIONS is one route for all paths
			}
			list = append(list, routes.Route{Pattern: method + " " + prefix + pattern(path)})
		}
	}
	return list
}

// pattern converts a route's parameters to those of a ServeMux: /label/:name/values becomes /label/{name}/values.
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

// headerOnly is a ResponseWriter that discards the body.
type headerOnly struct{ header http.Header }

func (h *headerOnly) Header() http.Header {
	if h.header == nil {
		h.header = make(http.Header)
	}
	return h.header
}
func (*headerOnly) Write(p []byte) (int, error) { return len(p), nil }
func (*headerOnly) WriteHeader(int)             {}

// apiRoutes returns the routes of Prometheus' own API; none before the TSDB is open.
func (p *Prometheus) apiRoutes() []routes.Route {
	if c := p.core.Load(); c != nil {
		return c.api.routes(p.opts.PathPrefix + "/api/v1")
	}
	return nil
}
