// Package console serves the console: its pages and their files, which carry no data, and beside them the dashboards and settings that
// the pages ask for.
package console

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/dashboards"
)

// Prometheus is where panels get their samples from.
type Prometheus struct {
	// Available says that /prometheus/api/v1 answers queries. Else Reason names the flag that changes it.
	Available bool   `json:"available"`
	UI        string `json:"ui"` // path of Prometheus' own UI on this server; empty: there is none
	Reason    string `json:"reason"`
}

// Grafana says whether a Grafana shows the dashboards, too.
type Grafana struct {
	// Phase is one of grafana.Phase, or PhaseExternal.
	Phase  string `json:"phase"`
	URL    string `json:"url"` // path on this server
	Reason string `json:"reason"`
}

// PhaseExternal is the phase of a Grafana that the operator runs.
const PhaseExternal = "external"

// Options configure a console. Those without a default are required.
type Options struct {
	// Files are the built pages: index.html, and assets. Nil: the program was built without them, and the pages say so.
	Files fs.FS
	// FrameAncestors are the origins whose pages may embed the console; none by default. See CheckFrameAncestor.
	FrameAncestors []string
	Version        string
	Prometheus     Prometheus
	// ScrapeInterval is the longest time between two scrapes of that Prometheus; 0: 15 s, which is longer than the embedded one's. Rates
	// cover four of them.
	ScrapeInterval time.Duration
	// Grafana returns the state of Grafana for the client of a request.
	Grafana func(context.Context) Grafana
	// NeedsToken says that reading needs the admin token.
	NeedsToken bool
	// ServerURL is the address of this server for browsers and workers, without a slash at the end. Empty: the address of the request.
	ServerURL string
	// ReachedFrom returns the host at which other machines reach this server, for a request that came to a loopback address. Empty: none
	// is known. May be nil.
	ReachedFrom func(context.Context) string
	// TokenPath is the file of the join token. Only clients that may see paths are told its directory.
	TokenPath string
	// Aliases are further UIDs under which a dashboard is asked for: those that an operator has given to dashboards of his own in Grafana.
	Aliases map[string]string
	// Dashboards returns the dashboards; by default those of the package dashboards.
	Dashboards func() []dashboards.Dashboard
}

// Console serves the pages and what they ask for. Make it with New.
type Console struct {
	opts   Options
	policy string
	index  func() (page, error)
	list   func() (*asset, error)

	mu     sync.Mutex
	assets map[string]*asset // by name, as they are asked for
	views  map[string]*asset // by UID
}

// New returns a console. It reads and makes nothing before the first request.
func New(o Options) (*Console, error) {
	for _, ancestor := range o.FrameAncestors {
		if err := CheckFrameAncestor(ancestor); err != nil {
			return nil, err
		}
	}
	if o.Dashboards == nil {
		o.Dashboards = dashboards.All
	}
	c := &Console{opts: o, policy: policy(o.FrameAncestors), assets: map[string]*asset{}, views: map[string]*asset{}}
	c.index = sync.OnceValues(c.readIndex)
	c.list = sync.OnceValues(c.encodeList)
	return c, nil
}

// Pages returns the handlers of the pages and of their files by ServeMux pattern. They carry no data: everybody may have them.
func (c *Console) Pages() map[string]http.Handler {
	handlers := map[string]http.Handler{
		"GET /console/assets/{file}": http.HandlerFunc(c.serveAsset),
	}
	for _, path := range pagePaths() {
		handlers["GET "+path] = http.HandlerFunc(c.servePage)
	}
	return handlers
}

// Data returns the handlers of what the pages ask for, by ServeMux pattern. They need the right to read.
func (c *Console) Data() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /console/dashboards":       http.HandlerFunc(c.serveList),
		"GET /console/dashboards/{uid}": http.HandlerFunc(c.serveDashboard),
		"GET /console/settings":         http.HandlerFunc(c.serveSettings),
	}
}

// pagePaths are the paths that the browser routes. All return index.html.
func pagePaths() []string {
	return []string{
		"/{$}", "/d/{uid}", "/d/{uid}/{$}", "/d/{uid}/{slug}", "/dashboards", "/doctor",
		"/models", "/models/{id}", "/instances", "/instances/{id}", "/workers", "/workers/{id}", "/gpus",
		"/mapping",
	}
}

// policy returns the Content-Security-Policy of the console's answers.
func policy(frameAncestors []string) string {
	ancestors := "'none'"
	if len(frameAncestors) > 0 {
		named := slices.Clone(frameAncestors)
		for i, origin := range named {
			if origin == ancestorSelf {
				named[i] = "'self'"
			}
		}
		ancestors = strings.Join(named, " ")
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; " +
		"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors " + ancestors
}

// ancestorSelf stands for the server's own origin in Options.FrameAncestors.
const ancestorSelf = "self"

var ancestor = regexp.MustCompile(`^https?://(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5}|:\*)?$|^https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$`)

// CheckFrameAncestor returns an error if s can't stand in a frame-ancestors directive as an origin. "self" stands for the server's own
// origin.
func CheckFrameAncestor(s string) error {
	if s == ancestorSelf || ancestor.MatchString(s) {
		return nil
	}
	return fmt.Errorf("%.100q is no origin: give http://HOST[:PORT], https://HOST[:PORT] (HOST may begin with *.), or self", s)
}

// setHeaders sets what all static answers of the console have.
func (c *Console) setHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", c.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}
