// Package origin finds the address under which a client reached this server.
package origin

import (
	"net/http"
	"net/url"
	"strings"
)

// Of returns the scheme, host and port that the client of r used, such as https://obs.example.com. Proxies say what they changed in
// X-Forwarded-Proto and X-Forwarded-Host; the first element of a list is the outermost proxy's. A value that is no scheme or no host is
// ignored.
func Of(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if proto := first(r.Header.Get("X-Forwarded-Proto")); proto == "http" || proto == "https" {
		scheme = proto
	}
	host := r.Host
	if forwarded := first(r.Header.Get("X-Forwarded-Host")); forwarded != "" {
		if u, err := url.Parse("//" + forwarded); err == nil && u.Host == forwarded {
			host = forwarded
		}
	}
	return scheme + "://" + host
}

// first returns the first element of a header's list.
func first(list string) string {
	value, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(value)
}
