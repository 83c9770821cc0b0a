// Package grafana runs an installed Grafana as a child process. It finds Grafana, provisions our datasource and dashboards, starts
// Grafana on loopback, restarts it when it fails, and stops it with the server. Users reach it through the reverse proxy that
// Handler returns. A failure of Grafana does not affect the rest of the server.
package grafana

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/paths"
)

const (
	defaultMemoryLimit = 512 << 20
	minMemoryLimit     = 128 << 20 // with less, Grafana only collects garbage

	defaultStopTimeout = 5 * time.Second
	maxStopTimeout     = time.Minute

	// wellKnownPassword is the administrator's password in the specification.
	wellKnownPassword = "grafana"
	minPassword       = 5 // Grafana refuses shorter ones
	maxPassword       = 256
)

// Options configure which Grafana runs, where it stores its data and how users reach it.
type Options struct {
	Home            string        // folder in which Grafana is installed; empty: search for it
	Dir             string        // Grafana's database, plugins and provisioning; created when needed
	Searched        []string      // further homes to search, before the usual ones
	Port            int           // loopback port of the child; 0: any free one
	PathPrefix      string        // where the server serves Grafana, such as /grafana
	ExternalURL     string        // how users reach PathPrefix, such as https://obs.example.com/grafana; empty: known from each request only
	PrometheusURL   string        // for the datasource, such as http://127.0.0.1:8080/prometheus
	PrometheusToken string        // sent to it as a bearer token; empty: none
	InsecureTLS     bool          // the datasource's certificate is not checked (it is our own, on loopback)
	AdminPassword   string        // empty: the operator's GF_SECURITY_ADMIN_PASSWORD, else the specification's, with a warning in the log
	Tokens          []string      // our own credentials: an Authorization header that carries one never reaches Grafana
	MemoryLimit     int64         // bytes, GOMEMLIMIT of the child; 0: 512 MiB
	StopTimeout     time.Duration // from the end of Run's context to its return; 0: 5 s
	Environ         []string      // environment of the child; nil: os.Environ(). Its GF_* settings override our defaults, except the forced ones
	Logger          *slog.Logger
}

// Grafana supervises one Grafana. Make it with New.
type Grafana struct {
	opts     Options
	env      map[string]string // of Options.Environ
	rootURL  string            // GF_SERVER_ROOT_URL; empty: made from the port
	served   string            // path under which Grafana serves; that of rootURL
	password string            // the configured one; empty: none
	timing   timing
	// packagedPlugins is where packages of Grafana put plugins that belong to the home.
	packagedPlugins string
	logger          *slog.Logger
	handler         http.Handler
	client          *http.Client

	status atomic.Pointer[Status]
	addr   atomic.Pointer[string] // where it answers; nil: it does not

	mu            sync.Mutex
	starts        int
	failures      [kinds]int
	startDuration time.Duration // of the last start that succeeded; 0: none did
}

// New checks the options and searches for Grafana. A machine without Grafana is no error: Status reports it, and Run searches again.
func New(o Options) (*Grafana, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("grafana: %w", err)
	}
	g := &Grafana{opts: o, env: parseEnviron(o.Environ), timing: defaultTiming(), packagedPlugins: packagedPlugins, logger: o.Logger.With(logging.KeyComponent, "grafana"), client: newHealthClient()}
	g.rootURL, g.served = rootURL(o, g.env)
	g.password = o.AdminPassword
	if operators := g.env[envAdminPassword]; g.password == "" && !expands(operators) {
		g.password = operators // a password with an expansion is Grafana's to read; it applies it to a new database only
	}
	if g.password != "" {
		if err := checkPassword(g.password); err != nil {
			return nil, fmt.Errorf("grafana: %w", err)
		}
	}
	h, err := g.find()
	switch missing, absent := errors.AsType[*absentError](err); {
	case absent:
		g.set(Status{Phase: PhaseAbsent, Reason: missing.Error()})
	case err != nil:
		return nil, fmt.Errorf("grafana: %w", err)
	default:
		g.set(Status{Phase: PhaseStopped, Home: h.dir})
	}
	g.handler = g.newHandler()
	return g, nil
}

// Handler serves everything under Options.PathPrefix, in every phase.
func (g *Grafana) Handler() http.Handler { return g.handler }

// Status returns what is known about Grafana now.
func (g *Grafana) Status() Status { return *g.status.Load() }

// set replaces the status and notes the time when the phase changes.
func (g *Grafana) set(s Status) {
	s.Since = time.Now()
	if old := g.status.Load(); old != nil && old.Phase == s.Phase {
		s.Since = old.Since
	}
	s.Restarts = max(0, g.started()-1)
	g.status.Store(&s)
}

func (g *Grafana) started() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.starts
}

// newHandler returns the proxy. If a proxy in front of the server removes a part of the path, Grafana serves under the path that
// users see, so that its links and redirects are right.
func (g *Grafana) newHandler() http.Handler {
	prometheus, _ := url.Parse(g.opts.PrometheusURL) // checked in complete
	proxy := newProxy(proxyOptions{
		Prefix:         g.served,
		Upstream:       g.upstream,
		Status:         g.Status,
		Tokens:         g.opts.Tokens,
		Dir:            paths.Hide(g.opts.Dir, "DATA_DIR/"+filepath.Base(g.opts.Dir)),
		PrometheusLink: strings.TrimSuffix(prometheus.Path, "/") + "/",
		Logger:         g.logger,
	})
	prefix := g.opts.PathPrefix
	if g.served == prefix {
		return proxy
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := new(*r)
		out.URL = new(*r.URL)
		out.URL.Path = g.served + strings.TrimPrefix(r.URL.Path, prefix)
		if r.URL.RawPath != "" {
			out.URL.RawPath = g.served + strings.TrimPrefix(r.URL.RawPath, prefix)
		}
		proxy.ServeHTTP(w, out)
	})
}

func (g *Grafana) upstream() (string, bool) {
	addr := g.addr.Load()
	if addr == nil {
		return "", false
	}
	return *addr, true
}

// complete fills in defaults and returns an error about invalid options.
func (o *Options) complete() error {
	if o.Logger == nil {
		return errors.New("no logger: set Options.Logger")
	}
	if o.Dir == "" {
		return errors.New("no data directory: set Options.Dir")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", o.Dir, err)
	}
	o.Dir = dir
	if !strings.HasPrefix(o.PathPrefix, "/") || strings.HasSuffix(o.PathPrefix, "/") {
		return fmt.Errorf("path prefix %q: give one that begins with / and does not end with it, such as /grafana", o.PathPrefix)
	}
	if o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("--builtin-grafana-port %d: use 1 to 65535, or 0 for any free port", o.Port)
	}
	if err := checkURL("Prometheus' URL", o.PrometheusURL); err != nil {
		return err
	}
	if o.ExternalURL != "" {
		if err := checkURL("external URL", o.ExternalURL); err != nil {
			return err
		}
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = defaultMemoryLimit
	}
	if o.MemoryLimit < minMemoryLimit {
		return fmt.Errorf("memory limit of %d bytes: Grafana needs %d (128 MiB) at least", o.MemoryLimit, minMemoryLimit)
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = defaultStopTimeout
	}
	if o.StopTimeout < 0 || o.StopTimeout > maxStopTimeout {
		return fmt.Errorf("stop timeout %s: use up to %s", o.StopTimeout, maxStopTimeout)
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	return nil
}

func checkURL(what, s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%s %q: give one with http:// or https:// and a host", what, s)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s %q: it must not have credentials, a query or a fragment", what, u.Redacted())
	}
	return nil
}

// expansion matches what Grafana expands in a setting's value.
var expansion = regexp.MustCompile(`\$(?:__\w+)?\{|%\(`)

// expands reports whether Grafana would expand a part of s.
func expands(s string) bool { return expansion.MatchString(s) }

// checkPassword accepts passwords that are the same in a setting and on the standard input of grafana cli.
func checkPassword(s string) error {
	const what = "the password of Grafana's admin"
	switch {
	case len(s) < minPassword || len(s) > maxPassword:
		return errors.New(what + ": use " + strconv.Itoa(minPassword) + " to " + strconv.Itoa(maxPassword) + " bytes")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New(what + ": it must not hold control characters such as line ends")
	case expands(s):
		return errors.New(what + ": it must not hold ${, $__name{ or %(, which Grafana replaces in its settings")
	case strings.TrimSpace(s) != s:
		return errors.New(what + ": it must not begin or end with a space")
	}
	return nil
}
