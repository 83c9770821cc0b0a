package grafana

import (
	"net/http"
	"strings"
)

// consolePath returns where the console shows what is asked for below Grafana's prefix: a dashboard, or the list of dashboards. The
// result is a path without a slash at the beginning. ok is false for Grafana's other pages. Both paths are as they are escaped.
func consolePath(below string) (path string, ok bool) {
	parts := strings.Split(strings.Trim(below, "/"), "/")
	switch parts[0] {
	case "", "dashboards":
		return "dashboards", true
	case "d":
		if len(parts) == 2 || len(parts) == 3 {
			return strings.Join(parts, "/"), true
		}
	}
	return "", false
}

// consoleLink returns the address of what is asked for below Grafana's prefix in the console, with the same query. It is relative,
// because a proxy in front of us may have removed the first part of the path.
func consoleLink(r *http.Request, prefix string) (link string, ok bool) {
	below := strings.TrimPrefix(r.URL.EscapedPath(), prefix)
	path, ok := consolePath(below)
	if !ok {
		return "", false
	}
	link = strings.Repeat("../", strings.Count(below, "/")) + path
	if r.URL.RawQuery != "" {
		link += "?" + r.URL.RawQuery
	}
	return link, true
}

// toConsole redirects a browser's navigation to the console, and whoever reads a dashboard's page, also with curl. It reports whether it did.
func toConsole(w http.ResponseWriter, r *http.Request, prefix string) bool {
	link, ok := consoleLink(r, prefix)
	dashboard := strings.HasPrefix(strings.TrimPrefix(r.URL.EscapedPath(), prefix), "/d/") && (r.Method == http.MethodGet || r.Method == http.MethodHead)
	if !ok || !isNavigation(r) && !dashboard {
		return false
	}
	h := w.Header()
	h.Set("Location", link)
	h.Set("Cache-Control", "no-store") // a Grafana may be there next time
	h.Set("Vary", "Accept, Sec-Fetch-Mode")
	w.WriteHeader(http.StatusFound)
	return true
}

// Off serves prefix and everything under it where Grafana is turned off: it redirects browsers to the console, and answers all other
// requests with otherwise.
func Off(prefix string, otherwise http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == prefix:
			addSlash(w, r)
		case !toConsole(w, r, prefix):
			otherwise.ServeHTTP(w, r)
		}
	})
}
