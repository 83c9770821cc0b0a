package grafana

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/base/logging"
)

const (
	externalPrefix = "/grafana"
	probeTimeout   = 3 * time.Second
	probeAgain     = time.Minute
)

// external redirects and proxies to a Grafana on another machine.
type external struct {
	target   *url.URL
	marker   string // names this handler in the header Via
	reverse  *httputil.ReverseProxy
	upgrades *upgrades
	logger   *slog.Logger
	trouble  limited

	mu     sync.Mutex
	probed time.Time
	loops  bool
}

// External serves /grafana and everything under it when Grafana runs elsewhere. It redirects a browser's navigation to target, a
// result of NormalizeURL, and proxies other requests to it, without the credentials in tokens.
func External(target *url.URL, tokens []string, logger *slog.Logger) http.Handler {
	own := newCredentials(tokens)
	transport := newTransport()
	transport.Proxy = http.ProxyFromEnvironment
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	e := &external{
		target:   target,
		marker:   "stackscope-" + rand.Text(),
		upgrades: newUpgrades(maxUpgrades, transport.CloseIdleConnections),
		logger:   logger.With(logging.KeyComponent, "grafana"),
		trouble:  limited{every: logEvery},
	}
	e.reverse = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = e.address(r.In)
			r.Out.Host = target.Host
			own.strip(r.Out.Header)
			dropIdentity(r.Out.Header)
			dropForwarded(r.Out.Header)
			endBody(r.Out)
			r.Out.Header.Add("Via", e.via())
		},
		ModifyResponse: e.keepHere,
		ErrorHandler:   e.failed,
		ErrorLog:       slog.NewLogLogger(e.logger.Handler(), slog.LevelDebug),
	}
	return e
}

func (e *external) via() string { return "1.1 " + e.marker }

// address returns the URL of r at the target: the target's path, the path below our prefix, and the query.
func (e *external) address(r *http.Request) *url.URL {
	u := new(*e.target)
	below := strings.TrimPrefix(r.URL.Path, externalPrefix)
	if below == "" {
		below = "/"
	}
	if r.URL.RawPath != "" || u.RawPath != "" { // an escaped slash must stay escaped
		raw := strings.TrimPrefix(r.URL.EscapedPath(), externalPrefix)
		u.RawPath = e.target.EscapedPath() + "/" + strings.TrimPrefix(raw, "/")
	}
	u.Path += below
	u.RawQuery, u.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	return u
}

func (e *external) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isMarked(r.Header, e.marker):
		e.refuseLoop(w, r)
	case isNavigation(r):
		if e.mayBeUs(r) && e.isLoop(r.Context()) {
			e.refuseLoop(w, r)
			return
		}
		w.Header().Set("Location", e.address(r).String())
		w.Header().Set("Cache-Control", "no-store") // the target is a setting
		w.Header().Set("Vary", "Accept, Sec-Fetch-Mode")
		w.WriteHeader(http.StatusFound)
	default:
		e.upgrades.serve(w, r, e.reverse, func(n notice) { n.write(w, false) })
	}
}

// isMarked reports whether a message has passed through the handler with the marker.
func isMarked(h http.Header, marker string) bool {
	return slices.ContainsFunc(h.Values("Via"), func(via string) bool { return strings.Contains(via, marker) })
}

// mayBeUs reports whether a redirect of r to the target could lead back here. The same host alone does not prove it: a proxy may
// route one path of a host to us and another one to Grafana.
func (e *external) mayBeUs(r *http.Request) bool {
	hosts := []string{r.Host, r.Header.Get("X-Forwarded-Host")}
	for _, host := range hosts {
		if sameHost(host, e.target.Host) && (e.target.Path == externalPrefix || strings.HasSuffix(e.target.Path, externalPrefix)) {
			return true
		}
	}
	return false
}

func sameHost(a, b string) bool {
	bare := func(s string) string {
		s = strings.ToLower(s)
		return strings.TrimSuffix(strings.TrimSuffix(s, ":80"), ":443")
	}
	return bare(a) == bare(b)
}

// isLoop reports whether the target is this handler. It sends a request to find out and caches the result for a minute.
func (e *external) isLoop(ctx context.Context) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.probed.IsZero() && time.Since(e.probed) < probeAgain {
		return e.loops
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	probe := &http.Request{Method: http.MethodGet, URL: e.target.JoinPath("api", "health"), Header: http.Header{"Via": {e.via()}}}
	resp, err := e.reverse.Transport.RoundTrip(probe.WithContext(ctx))
	if err != nil {
		return false // unknown: the next request tries again
	}
	_ = resp.Body.Close()
	e.probed, e.loops = time.Now(), resp.StatusCode == http.StatusLoopDetected && isMarked(resp.Header, e.marker)
	return e.loops
}

func (e *external) refuseLoop(w http.ResponseWriter, r *http.Request) {
	if skipped, ok := e.trouble.allow(); ok {
		e.logger.Error("the external grafana's url leads back to this server: set --grafana-url to grafana's own address, or leave it out", "url", e.target.String(), "unlogged", skipped)
	}
	w.Header().Set("Via", e.via())
	notice{
		Status: http.StatusLoopDetected, Title: "The Grafana URL leads back to this server",
		Reason: "--grafana-url is " + e.target.String() + ", where this server itself answers",
		Text:   "Start the server with the address of Grafana itself, or without --grafana-url for the Grafana that it runs by itself.",
	}.write(w, isNavigation(r))
}

// keepHere rewrites redirects of the target to itself into redirects to this handler: the client may reach Grafana only through
// it.
func (e *external) keepHere(resp *http.Response) error {
	location := resp.Header.Get("Location")
	if location == "" {
		return nil
	}
	u, err := resp.Request.URL.Parse(location)
	if err != nil {
		return nil //nolint:nilerr // a malformed Location is passed on unchanged
	}
	if u.Scheme != e.target.Scheme || u.Host != e.target.Host {
		return nil
	}
	below, ok := strings.CutPrefix(u.EscapedPath(), e.target.EscapedPath())
	if !ok || (below != "" && !strings.HasPrefix(below, "/")) {
		resp.Header.Set("Location", u.String()) // outside the target's path: this handler has no path for it
		return nil
	}
	// Relative, because a proxy in front of us may have removed a part of the path.
	from := strings.TrimPrefix(resp.Request.URL.EscapedPath(), e.target.EscapedPath())
	u = &url.URL{RawQuery: u.RawQuery, Fragment: u.Fragment}
	target := strings.Repeat("../", strings.Count(from, "/")) + path.Base(externalPrefix) + below
	resp.Header.Set("Location", target+u.String())
	return nil
}

func (e *external) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone, or the server is stopping
	}
	if skipped, ok := e.trouble.allow(); ok {
		e.logger.Warn("a request to the external grafana failed", "url", e.target.String(), "method", clip.End(r.Method, maxLogged), "error", err, "unlogged", skipped)
	}
	status, reason := blame(err)
	notice{
		Status: status, Title: "The external Grafana did not answer", Reason: reason,
		Text: "It is the one at " + e.target.String() + ", which this server was given as --grafana-url. Check that address from the server's machine.",
	}.write(w, false)
}
