package main

import (
	"log/slog"
	"path/filepath"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/base/sdnotify"
	"github.com/stackscope/stackscope/internal/base/webconfig"
	"github.com/stackscope/stackscope/internal/grafana/install"
	"github.com/stackscope/stackscope/internal/server"
)

// serverFlags are the flags of commands that run a server. Names, environment and defaults are GPUStack's where it has them.
type serverFlags struct {
	DataDir     string `help:"Directory for the inventory, the mapping, the tokens and the data of Prometheus and Grafana. Default: /var/lib/stackscope; for a user who cannot write there, ~/.local/state/stackscope ($XDG_STATE_HOME/stackscope)." placeholder:"DIR" env:"GPUSTACK_DATA_DIR" example:"/var/lib/stackscope" group:"Server"`
	Host        string `help:"Address to listen on." default:"0.0.0.0" env:"GPUSTACK_HOST" group:"Server"`
	Port        *int   `help:"Port of the console, the API, /prometheus and /grafana. Default: 80; 8080 where port 80 needs root and this user is another. With --tls-cert it is not opened; --tls-port replaces it." placeholder:"PORT" env:"GPUSTACK_PORT" example:"80" group:"Server"`
	MetricsPort int    `help:"Port of the server's metrics and of HTTP service discovery." default:"10161" env:"GPUSTACK_METRICS_PORT" group:"Server"`

	DisableMetrics              bool `help:"Do not open the metrics port." env:"GPUSTACK_DISABLE_METRICS" group:"Server"`
	DisableBuiltinObservability bool `help:"Do not run the embedded Prometheus and Grafana." env:"GPUSTACK_DISABLE_BUILTIN_OBSERVABILITY" group:"Server"`

	DisableBuiltinGrafana bool `help:"Run the embedded Prometheus without Grafana." env:"GPUSTACK_DISABLE_BUILTIN_GRAFANA" group:"Server"`

	PrometheusRetentionTime period   `name:"builtin-prometheus-retention-time" help:"How long the embedded Prometheus keeps samples, for example 15d." default:"360h" placeholder:"DURATION" env:"GPUSTACK_BUILTIN_PROMETHEUS_RETENTION_TIME" group:"Server"`
	PrometheusRetentionSize byteSize `name:"builtin-prometheus-retention-size" help:"Largest disk use of the embedded Prometheus, for example 50GB. 0: no limit." default:"0" placeholder:"SIZE" env:"GPUSTACK_BUILTIN_PROMETHEUS_RETENTION_SIZE" group:"Server"`
	PrometheusRepair        bool     `name:"builtin-prometheus-repair" help:"Move data that the embedded Prometheus cannot read to DATA_DIR/prometheus/damaged-TIME and start without it. Nothing is deleted. Without this flag damaged data is left alone and /prometheus returns 503." env:"GPUSTACK_BUILTIN_PROMETHEUS_REPAIR" group:"Server"`
	PrometheusMaxSeries     int64    `name:"builtin-prometheus-max-series" help:"Most series that the embedded Prometheus holds in memory. It refuses new series beyond that; existing ones continue. 0: as many as fit into half of the memory that this process may use, at 8 KiB each." default:"0" placeholder:"N" env:"GPUSTACK_BUILTIN_PROMETHEUS_MAX_SERIES" group:"Server"`

	PrometheusQueryMaxSamples     int           `name:"builtin-prometheus-query-max-samples" help:"Most samples that one query of the embedded Prometheus may hold at once. Memory limits queries further: all together use at most a quarter of what the process may use (control group, GOMEMLIMIT, machine), one query at most half of that. /prometheus/flags shows the active limit." default:"50000000" placeholder:"COUNT" env:"GPUSTACK_BUILTIN_PROMETHEUS_QUERY_MAX_SAMPLES" group:"Server"`
	PrometheusQueryMaxConcurrency int           `name:"builtin-prometheus-query-max-concurrency" help:"How many queries the embedded Prometheus runs at once, at least 5. Others wait, and get 503 after --builtin-prometheus-query-timeout." default:"20" placeholder:"COUNT" env:"GPUSTACK_BUILTIN_PROMETHEUS_QUERY_MAX_CONCURRENCY" group:"Server"`
	PrometheusQueryTimeout        time.Duration `name:"builtin-prometheus-query-timeout" help:"Time limit of a query of the embedded Prometheus, including its waiting time, for example 2m." default:"2m" placeholder:"DURATION" env:"GPUSTACK_BUILTIN_PROMETHEUS_QUERY_TIMEOUT" group:"Server"`

	PrometheusPort       int           `name:"builtin-prometheus-port" help:"Additional port that serves only /prometheus, for example GPUStack's 19090. 0: none." default:"0" env:"GPUSTACK_BUILTIN_PROMETHEUS_PORT" group:"Server"`
	GrafanaPort          int           `name:"builtin-grafana-port" help:"Port of the embedded Grafana, on loopback only. Users reach Grafana at /grafana." default:"13000" env:"GPUSTACK_BUILTIN_GRAFANA_PORT" group:"Server"`
	GrafanaHome          string        `help:"Home directory of the Grafana to run. Default: the one of 'stackscope grafana install', else an installed one." placeholder:"DIR" env:"GPUSTACK_GRAFANA_HOME" example:"/usr/share/grafana" group:"Server"`
	GrafanaAdminPassword string        `help:"Password of the user admin of the embedded Grafana. Default: grafana, which everybody knows." placeholder:"PASSWORD" env:"GPUSTACK_GRAFANA_ADMIN_PASSWORD" example:"''" group:"Server"`
	GrafanaMemoryLimit   byteSize      `name:"builtin-grafana-memory-limit" help:"Memory that the embedded Grafana tries to stay under." default:"512MB" placeholder:"SIZE" env:"GPUSTACK_BUILTIN_GRAFANA_MEMORY_LIMIT" group:"Server"`
	GrafanaURL           string        `name:"grafana-url" help:"Address at which browsers reach your own Grafana, for example https://grafana.example.com. Turns the embedded Prometheus and Grafana off; dashboard links lead to yours." placeholder:"URL" env:"GPUSTACK_GRAFANA_URL" example:"https://grafana.example.com" group:"Server"`
	PrometheusURL        string        `name:"prometheus-url" help:"Address of your own Prometheus, for example https://prometheus.example.com or https://USER:PASSWORD@HOST. The console's queries and those below /prometheus/api/v1 go there, also if the embedded Prometheus runs." placeholder:"URL" env:"GPUSTACK_PROMETHEUS_URL" example:"https://prometheus.example.com" group:"Server"`
	PrometheusInterval   time.Duration `name:"prometheus-scrape-interval" help:"How often the Prometheus of --prometheus-url scrapes, at most. The console's rates cover at least four scrapes." default:"15s" placeholder:"DURATION" env:"GPUSTACK_PROMETHEUS_SCRAPE_INTERVAL" group:"Server"`
	WorkerDashboardUID   string        `name:"grafana-worker-dashboard-uid" help:"UID of the dashboard that links of clusters and workers open." default:"gpustack-worker" placeholder:"UID" env:"GPUSTACK_GRAFANA_WORKER_DASHBOARD_UID" group:"Server"`
	ModelDashboardUID    string        `name:"grafana-model-dashboard-uid" help:"UID of the dashboard that links of models and instances open." default:"gpustack-model" placeholder:"UID" env:"GPUSTACK_GRAFANA_MODEL_DASHBOARD_UID" group:"Server"`
	PDDashboardUID       string        `name:"grafana-pd-dashboard-uid" help:"UID of the dashboard that links of models with separate prefill and decode instances open." default:"gpustack-pd" placeholder:"UID" env:"GPUSTACK_GRAFANA_PD_DASHBOARD_UID" group:"Server"`
	CacheDashboardUID    string        `name:"grafana-cache-service-dashboard-uid" help:"UID of the dashboard of cache services." default:"gpustack-cache-service" placeholder:"UID" env:"GPUSTACK_GRAFANA_CACHE_SERVICE_DASHBOARD_UID" group:"Server"`

	PrometheusHTTPConfigFile  string `name:"builtin-prometheus-http-config-file" help:"Prometheus HTTP client configuration (basic_auth, authorization, tls_config) with which the embedded Prometheus scrapes workers that use TLS." placeholder:"FILE" env:"GPUSTACK_BUILTIN_PROMETHEUS_HTTP_CONFIG_FILE" example:"/etc/stackscope/http.yml" group:"Server"`
	PrometheusHTTPConfigPlain bool   `name:"builtin-prometheus-http-config-plain" help:"Send the credentials of --builtin-prometheus-http-config-file to workers without TLS, too. Anybody on the network path can then read them." env:"GPUSTACK_BUILTIN_PROMETHEUS_HTTP_CONFIG_PLAIN" group:"Server"`

	TLSCert string `name:"tls-cert" help:"Certificate (PEM). Serves the API over TLS at --tls-port instead of --port. A renewed certificate is used without a restart." placeholder:"FILE" env:"GPUSTACK_TLS_CERT" example:"/etc/stackscope/tls/cert.pem" group:"Server"`
	TLSKey  string `name:"tls-key" help:"Private key (PEM) of --tls-cert." placeholder:"FILE" env:"GPUSTACK_TLS_KEY" example:"/etc/stackscope/tls/key.pem" group:"Server"`
	TLSPort int    `name:"tls-port" help:"Port of the API, /prometheus and /grafana with --tls-cert." default:"443" env:"GPUSTACK_TLS_PORT" group:"Server"`

	ServerExternalURL      string   `help:"Address at which users reach the server, for example https://obs.example.com. Default: taken from each request." placeholder:"URL" env:"GPUSTACK_SERVER_EXTERNAL_URL" example:"https://obs.example.com" group:"Server"`
	ConsoleFrameAncestors  []string `help:"Origins whose pages may embed the console in a frame, for example https://portal.example.com, separated by commas. self: pages of this server. Default: none." placeholder:"ORIGIN" env:"GPUSTACK_CONSOLE_FRAME_ANCESTORS" example:"[self, 'https://portal.example.com']" group:"Server"`
	DisableAnonymousViewer bool     `help:"Require the admin token for reading, too." env:"GPUSTACK_DISABLE_ANONYMOUS_VIEWER" group:"Server"`
	NoTrustLoopback        bool     `help:"Require the admin token from the server's own user on this machine, too." env:"GPUSTACK_NO_TRUST_LOOPBACK" group:"Server"`
	TrustLoopbackRoot      bool     `help:"Do not require the admin token from root on this machine when the server runs as another user. All clients of a proxy that runs as root are then trusted, too." env:"GPUSTACK_TRUST_LOOPBACK_ROOT" group:"Server"`

	chosenPort bool // the port is the default of a user who may not open the system's
}

func (f *serverFlags) options(logger *slog.Logger) server.Options {
	o := server.DefaultOptions()
	o.Logger = logger
	o.DataDir = f.DataDir
	o.Host, o.MetricsPort = f.Host, f.MetricsPort
	if f.Port != nil {
		o.Port = *f.Port
	}
	o.DisableMetrics = f.DisableMetrics
	o.DisableBuiltinObservability = f.DisableBuiltinObservability
	o.RetentionTime = time.Duration(f.PrometheusRetentionTime)
	o.RetentionSize = int64(f.PrometheusRetentionSize)
	o.Queries = server.QueryOptions{
		MaxSamples: f.PrometheusQueryMaxSamples, MaxConcurrency: f.PrometheusQueryMaxConcurrency, Timeout: f.PrometheusQueryTimeout,
	}
	o.PrometheusRepair = f.PrometheusRepair
	o.PrometheusMaxSeries = f.PrometheusMaxSeries
	o.PrometheusPort = f.PrometheusPort
	o.GrafanaURL = f.GrafanaURL
	o.PrometheusURL, o.PrometheusScrapeInterval, o.ConsoleFrameAncestors = f.PrometheusURL, f.PrometheusInterval, f.ConsoleFrameAncestors
	o.Grafana.Disabled = f.DisableBuiltinGrafana
	o.Grafana.Home, o.Grafana.Port = f.GrafanaHome, f.GrafanaPort
	o.Grafana.Searched = append(install.Candidates(filepath.Join(f.DataDir, "grafana-home")), grafanaHomes()...)
	o.Grafana.AdminPassword = f.GrafanaAdminPassword
	o.Grafana.MemoryLimit = int64(f.GrafanaMemoryLimit)
	o.Grafana.WorkerUID, o.Grafana.ModelUID = f.WorkerDashboardUID, f.ModelDashboardUID
	o.Grafana.PDUID, o.Grafana.CacheServiceUID = f.PDDashboardUID, f.CacheDashboardUID
	o.PrometheusHTTPConfigFile, o.PrometheusHTTPConfigPlain = f.PrometheusHTTPConfigFile, f.PrometheusHTTPConfigPlain
	o.TLSCert, o.TLSKey, o.TLSPort = f.TLSCert, f.TLSKey, f.TLSPort
	o.ServerExternalURL = f.ServerExternalURL
	o.DisableAnonymousViewer = f.DisableAnonymousViewer
	o.NoTrustLoopback, o.TrustLoopbackRoot = f.NoTrustLoopback, f.TrustLoopbackRoot
	return o
}

type serverCmd struct {
	command.Common
	serverFlags
	Web webconfig.Flags `embed:""`
}

// Help is printed by kong below the usage.
func (*serverCmd) Help() string {
	return `Examples:

  stackscope server                                  run it; it prints the command with which workers join
  stackscope server --tls-cert cert.pem --tls-key key.pem
                                                     serve over TLS, on port 443
  stackscope server --grafana-url https://grafana.example.com
                                                     use your own Prometheus and Grafana

Workers join with a copy of DATA_DIR/worker-token. Changes from other machines need DATA_DIR/admin-token.`
}

// Check implements command.Checker. It does not try whether the port may be opened.
func (c *serverCmd) Check() error { return c.check(c.Web) }

func (f serverFlags) check(web webconfig.Flags) error {
	logger := slog.New(slog.DiscardHandler)
	if f.DataDir == "" {
		f.DataDir = command.SystemDataDir
	}
	o := f.options(logger)
	o.WebConfigFile = web.WebConfigFile
	return o.Check()
}

// Run is called by kong.
func (c *serverCmd) Run(e *command.Env) error {
	logger, err := c.Logger(e.Stderr)
	if err != nil {
		return err
	}
	logging.TakeStandard(logger)
	memory.Tune()
	notes := c.settle(command.ThisUser())
	options := c.options(logger)
	options.WebConfigFile, options.Settings = c.Web.WebConfigFile, e.Settings
	srv, err := c.open(e.Context, options)
	if err != nil {
		return err
	}
	g := c.greeting(e.Context, srv)
	g.title, g.notes = "stackscope server", notes
	g.say(e, c.LogFormat, logger)
	defer e.Manager.Tell(e.Context, sdnotify.Program{Alive: srv.Alive, Status: srv.Summary, Logger: logger})()
	return srv.Run(e.Context)
}
