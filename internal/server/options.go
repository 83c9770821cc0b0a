package server

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/console"
	"github.com/stackscope/stackscope/internal/externalprom"
	"github.com/stackscope/stackscope/internal/grafana"
	"github.com/stackscope/stackscope/internal/prom"
)

// Options are the settings of a server. Start from DefaultOptions.
type Options struct {
	// DataDir holds the database, the tokens, and the embedded Prometheus' samples. It is made when it isn't there.
	DataDir string
	// Host is the address that all listeners bind.
	Host string
	// Port is the API's, TLSPort the API's when TLSCert is given (Port is not opened then). 0 takes any free one.
	Port, TLSPort int
	// TLSCert and TLSKey are PEM files.
	TLSCert, TLSKey string
	// MetricsPort is the one of the server's own metrics and of HTTP service discovery. 0 takes any free one.
	MetricsPort    int
	DisableMetrics bool
	// WebConfigFile protects that port and PrometheusPort; empty: they answer everybody.
	WebConfigFile string
	// PrometheusHTTPConfigFile is Prometheus' HTTP client configuration for scraping workers with TLS, and with PrometheusHTTPConfigPlain
	// also those without; empty: nothing particular.
	PrometheusHTTPConfigFile  string
	PrometheusHTTPConfigPlain bool
	// DisableBuiltinObservability leaves the embedded Prometheus and Grafana out. GrafanaURL, where browsers reach a Grafana of
	// the operator's own, does so too, and redirects to dashboards lead there.
	DisableBuiltinObservability bool
	GrafanaURL                  string
	// PrometheusURL is a Prometheus of the operator's own, which answers queries in place of the embedded one; empty: none. It may have
	// credentials, which are never shown.
	PrometheusURL string
	// PrometheusScrapeInterval is the longest time between two scrapes of PrometheusURL, 1 s to 10 min; 0: 15 s.
	PrometheusScrapeInterval time.Duration
	// ConsoleFrameAncestors are the origins whose pages may embed the console; none by default.
	ConsoleFrameAncestors []string
	// PrometheusPort serves /prometheus on a port of its own as well, 0 none.
	PrometheusPort int
	// Grafana is how the embedded Grafana runs.
	Grafana GrafanaOptions
	// RetentionTime and RetentionSize (bytes; 0: no limit) bound what the embedded Prometheus keeps.
	RetentionTime time.Duration
	RetentionSize int64
	// Queries bounds the queries of the embedded Prometheus.
	Queries QueryOptions
	// PrometheusRepair moves data that the embedded Prometheus can't read aside; else it stays, and Prometheus is out of service.
	PrometheusRepair bool
	// PrometheusMaxSeries is how many series its head may have until new ones are refused; 0: what half of the memory has room for.
	PrometheusMaxSeries int64
	// DisableAnonymousViewer makes reading need the admin token, NoTrustLoopback changes from this machine too. Without that the
	// server's own user needs none on this machine, and with TrustLoopbackRoot nor does root.
	DisableAnonymousViewer bool
	NoTrustLoopback        bool
	TrustLoopbackRoot      bool
	// ServerExternalURL is where users' browsers reach the server; empty: under the address that they used.
	ServerExternalURL string
	// HeartbeatGrace is how long a worker may be silent before it isn't ready any more.
	HeartbeatGrace time.Duration
	// ReportInterval is how often workers are told to report when nothing changes.
	ReportInterval time.Duration
	// StopTimeout bounds how long Run takes to end. What Prometheus has not closed by then it recovers at the next start.
	StopTimeout time.Duration
	// Settings are the flags of this process, for the bundle of a bug report.
	Settings []command.Setting
	Logger   *slog.Logger // nil: silent; its last records are in that bundle

	// What tests of this package put in the place of the system's: whose a connection is, the pages of Prometheus' web UI and those of
	// the console.
	ownerUID         func(client, server netip.AddrPort) (uint32, error)
	ownVersion       string // empty: the build's
	ui, consoleFiles fs.FS
}

// QueryOptions bound the queries of the embedded Prometheus.
type QueryOptions struct {
	// MaxSamples is how many samples one query may hold. What the memory has no room for is bounded further.
	MaxSamples int
	// MaxConcurrency is how many queries run at once, 5 or more.
	MaxConcurrency int
	// Timeout is how long a query takes at most, with its waiting.
	Timeout time.Duration
}

// GrafanaOptions are the settings of the embedded Grafana, and of the dashboards that redirects lead to.
type GrafanaOptions struct {
	Disabled bool // Prometheus is embedded, Grafana is not
	// Home is a Grafana's home directory; empty: it is searched for, first in Searched, then in the system's usual places.
	Home     string
	Searched []string
	// Port is where it listens on loopback. 0 takes any free one.
	Port int
	// AdminPassword is its user admin's; empty: the specification's, with a warning in the log.
	AdminPassword string
	// MemoryLimit, in bytes, is what its Go runtime tries to stay under; 0: 512 MiB.
	MemoryLimit int64
	// WorkerUID and ModelUID name the dashboards of clusters and workers, of models and instances.
	WorkerUID, ModelUID string
	// PDUID names the dashboard of models whose prefill and decode are separate instances, CacheServiceUID that of cache services.
	PDUID, CacheServiceUID string
}

// DefaultOptions returns the settings of a server started without any flag.
func DefaultOptions() Options {
	return Options{
		DataDir:        "/var/lib/stackscope",
		Host:           "0.0.0.0",
		Port:           80,
		TLSPort:        443,
		MetricsPort:    10161,
		Grafana:        GrafanaOptions{Port: 13000, WorkerUID: "gpustack-worker", ModelUID: "gpustack-model", PDUID: "gpustack-pd", CacheServiceUID: "gpustack-cache-service"},
		RetentionTime:  15 * 24 * time.Hour,
		Queries:        QueryOptions{MaxSamples: 50_000_000, MaxConcurrency: 20, Timeout: 2 * time.Minute},
		HeartbeatGrace: 150 * time.Second,
		ReportInterval: 10 * time.Second,
		StopTimeout:    9 * time.Second, // container engines kill after 10
	}
}

// version is what this server says it is.
func (o *Options) version() string { return cmp.Or(o.ownVersion, buildinfo.Get().Version) }

// validate reports every setting that cannot work.
func (o *Options) validate() error {
	if every := o.PrometheusScrapeInterval; every != 0 && (every < time.Second || every > 10*time.Minute) {
		return fmt.Errorf("--prometheus-scrape-interval is %s: it must be 1s to 10m", every)
	}
	var errs []error
	addError := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.DataDir == "" {
		addError("--data-dir is empty: give a directory")
	}
	type port struct {
		flag string
		port int
	}
	for _, p := range []port{{"--port", o.Port}, {"--tls-port", o.TLSPort}, {"--metrics-port", o.MetricsPort}, {"--builtin-prometheus-port", o.PrometheusPort}, {"--builtin-grafana-port", o.Grafana.Port}} {
		if p.port < 0 || p.port > 65535 {
			addError("%s %d: ports are 1 to 65535", p.flag, p.port)
		}
	}
	number, flag := o.apiPort()
	opened := []port{{flag, number}}
	if !o.DisableMetrics {
		opened = append(opened, port{"--metrics-port", o.MetricsPort})
	}
	if !o.DisableBuiltinObservability && strings.TrimSpace(o.GrafanaURL) == "" {
		opened = append(opened, port{"--builtin-prometheus-port", o.PrometheusPort})
		if !o.Grafana.Disabled {
			opened = append(opened, port{"--builtin-grafana-port", o.Grafana.Port})
		}
	}
	for i, p := range opened {
		for _, q := range opened[:i] {
			if p.port != 0 && p.port == q.port {
				addError("%s and %s are both %d: choose two ports", q.flag, p.flag, p.port)
			}
		}
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		addError("--tls-cert and --tls-key go together: give both or none")
	}
	if o.PrometheusHTTPConfigPlain && o.PrometheusHTTPConfigFile == "" {
		addError("--builtin-prometheus-http-config-plain is given without --builtin-prometheus-http-config-file: give both, or leave it out")
	}
	if o.RetentionTime <= 0 {
		addError("retention time %s: give more than 0", o.RetentionTime)
	}
	if o.RetentionSize < 0 {
		addError("retention size %d: give bytes, or 0 for no limit", o.RetentionSize)
	}
	if o.Queries.MaxSamples <= 0 {
		addError("--builtin-prometheus-query-max-samples %d: give a number above 0", o.Queries.MaxSamples)
	}
	if o.Queries.MaxConcurrency < prom.MinQueryConcurrency {
		addError("--builtin-prometheus-query-max-concurrency %d: give %d or more", o.Queries.MaxConcurrency, prom.MinQueryConcurrency)
	}
	if o.Queries.Timeout <= 0 {
		addError("--builtin-prometheus-query-timeout %s: give a time above 0, like 2m", o.Queries.Timeout)
	}
	if o.PrometheusMaxSeries < 0 {
		addError("--builtin-prometheus-max-series %d: give a number of series, or 0 for what the memory has room for", o.PrometheusMaxSeries)
	}
	if o.HeartbeatGrace < time.Second {
		addError("heartbeat grace %s: give at least 1s", o.HeartbeatGrace)
	}
	if o.ReportInterval < time.Second || o.ReportInterval > o.HeartbeatGrace {
		addError("report interval %s: give 1s or more and at most the heartbeat grace, %s", o.ReportInterval, o.HeartbeatGrace)
	}
	if o.NoTrustLoopback && o.TrustLoopbackRoot {
		addError("--no-trust-loopback and --trust-loopback-root exclude each other: give one of them")
	}
	if o.StopTimeout < drainTimeout+closeTime {
		addError("stop timeout %s: give at least %s", o.StopTimeout, drainTimeout+closeTime)
	}
	for _, origin := range o.ConsoleFrameAncestors {
		if err := console.CheckFrameAncestor(origin); err != nil {
			addError("--console-frame-ancestors: %w", err)
		}
	}
	if o.ServerExternalURL != "" {
		u, err := url.Parse(o.ServerExternalURL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			addError("--server-external-url %q: give it as http://HOST[:PORT] or https://HOST[:PORT]", o.ServerExternalURL)
		}
		o.ServerExternalURL = strings.TrimRight(o.ServerExternalURL, "/")
	}
	// As GPUStack takes an empty uid; a compose file passes one on when its variable isn't set.
	standard := DefaultOptions().Grafana
	o.Grafana.WorkerUID = cmp.Or(o.Grafana.WorkerUID, standard.WorkerUID)
	o.Grafana.ModelUID = cmp.Or(o.Grafana.ModelUID, standard.ModelUID)
	o.Grafana.PDUID = cmp.Or(o.Grafana.PDUID, standard.PDUID)
	o.Grafana.CacheServiceUID = cmp.Or(o.Grafana.CacheServiceUID, standard.CacheServiceUID)
	return errors.Join(errs...)
}

// Check returns every setting, and every file that they name, with which New would refuse to make a server. It opens no port and changes nothing.
func (o Options) Check() error {
	errs := []error{o.validate()}
	external, _, err := grafana.NormalizeURL(o.GrafanaURL)
	if err != nil {
		errs = append(errs, fmt.Errorf("--grafana-url: %w", err))
	}
	if _, err := externalprom.ParseURL(o.PrometheusURL); err != nil {
		errs = append(errs, fmt.Errorf("--prometheus-url: %w", err))
	}
	s := &Server{opts: o, logger: slog.New(slog.DiscardHandler), external: external}
	if o.TLSCert != "" && o.TLSKey != "" {
		_, err := s.loadTLS()
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.loadWebConfig())...)
}

// apiPort returns the port of the API and the flag that sets it.
func (o *Options) apiPort() (port int, flag string) {
	if o.TLSCert != "" {
		return o.TLSPort, "--tls-port"
	}
	return o.Port, "--port"
}
