package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/grafana"
	"github.com/stackscope/stackscope/internal/prom"
	"github.com/stackscope/stackscope/internal/targets"
	"github.com/stackscope/stackscope/web"
)

// Where GPUStack has them.
const (
	prometheusPrefix = "/prometheus"
	grafanaPrefix    = "/grafana"
)

// openObservability takes the embedded Prometheus' data directory and looks for a Grafana; what is disabled stays nil.
func (s *Server) openObservability() (err error) {
	if !s.builtin() {
		return nil
	}
	if s.prom, err = s.openPrometheus(); err != nil {
		return err
	}
	g := s.opts.Grafana
	if g.Disabled {
		return nil
	}
	o := grafana.Options{
		Home: g.Home, Searched: g.Searched, Dir: filepath.Join(s.opts.DataDir, "grafana"), Port: g.Port, PathPrefix: grafanaPrefix,
		PrometheusURL: s.URL() + prometheusPrefix, PrometheusToken: s.readToken, InsecureTLS: s.main.secure,
		AdminPassword: g.AdminPassword, Tokens: []string{s.adminToken, s.workerToken, s.readToken}, MemoryLimit: g.MemoryLimit,
		StopTimeout: s.opts.StopTimeout - closeTime, Logger: s.opts.Logger,
	}
	if s.opts.ServerExternalURL != "" {
		o.ExternalURL = s.opts.ServerExternalURL + grafanaPrefix
	}
	s.grafana, err = grafana.New(o)
	return err
}

// GrafanaStatus says how the embedded Grafana is; it is absent where it is disabled.
func (s *Server) GrafanaStatus() grafana.Status {
	if s.grafana == nil {
		return grafana.Status{Phase: grafana.PhaseAbsent, Reason: "it is turned off"}
	}
	return s.grafana.Status()
}

func (s *Server) openPrometheus() (*prom.Prometheus, error) {
	o := prom.Options{
		Dir:            filepath.Join(s.opts.DataDir, "prometheus"),
		ShownDir:       shownDataDir + "/prometheus",
		RetentionTime:  s.opts.RetentionTime,
		RetentionBytes: s.opts.RetentionSize,
		Repair:         s.opts.PrometheusRepair,
		MaxSeries:      s.opts.PrometheusMaxSeries,
		HTTPConfigFile: s.opts.PrometheusHTTPConfigFile, HTTPConfigPlain: s.opts.PrometheusHTTPConfigPlain, Inside: s.inProcessDialer,
		ServerFamilies: serverFamilies(),
		StopTimeout:    s.opts.StopTimeout - closeTime,
		PathPrefix:     prometheusPrefix,

		QueryMaxSamples:  s.opts.Queries.MaxSamples,
		QueryConcurrency: s.opts.Queries.MaxConcurrency,
		QueryTimeout:     s.opts.Queries.Timeout,

		Logger: s.opts.Logger,
	}
	if ui, ok := web.PrometheusUI(); ok {
		o.UI = ui
	}
	if s.opts.ui != nil {
		o.UI = s.opts.ui
	}
	base := s.opts.ServerExternalURL
	if base == "" {
		base = s.URL()
	}
	var err error
	if o.ExternalURL, err = url.Parse(base + prometheusPrefix); err != nil {
		return nil, fmt.Errorf("--server-external-url %q: %w", s.opts.ServerExternalURL, err)
	}
	p, err := prom.New(o)
	if err != nil {
		return nil, err
	}
	s.stack.Push("Prometheus", func(context.Context) error { return p.Close() })
	return p, nil
}

// followTargets gives the embedded Prometheus its targets, at first and after each change of the inventory.
func (s *Server) followTargets(ctx context.Context) error {
	changed, cancel := s.inventory.Changed()
	defer cancel()
	if s.metrics != nil {
		s.prom.SetTargets(prom.JobServer, []targets.Group{{Targets: []string{loopbackAddress(s.metrics.ln)}, Labels: map[string]string{}}})
	}
	for {
		snapshot := s.inventory.Snapshot()
		s.prom.SetWorkers(workersByAddress(snapshot))
		s.prom.SetTargets(prom.JobWorkers, targets.Workers(s.withInProcessWorkers(snapshot)))
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// mounts returns the handlers beside the API.
func (s *Server) mounts() map[string]http.Handler {
	var prometheus, dashboards http.Handler
	switch {
	case s.prom != nil:
		prometheus = s.prom.Handler()
	case s.externalProm != nil:
		prometheus = disabledHandler("The embedded Prometheus is turned off by " + s.turnedOffBy() + ". Queries below " + prometheusPrefix + "/api/v1 are answered by the one of --prometheus-url, " + s.externalProm.Address() + ".\n")
	default:
		prometheus = disabledHandler("The embedded Prometheus is turned off: start the server without --disable-builtin-observability and --grafana-url, or name your own with --prometheus-url.\n")
	}
	prometheus = s.withExternalPrometheus(prometheus)
	switch {
	case s.external != nil:
		dashboards = grafana.External(s.external, []string{s.adminToken, s.workerToken, s.readToken}, s.opts.Logger)
	case s.grafana != nil:
		dashboards = s.grafana.Handler()
	default:
		dashboards = grafana.Off(grafanaPrefix, disabledHandler("The embedded Grafana is turned off: start the server without --disable-builtin-observability and --disable-builtin-grafana, or with --grafana-url.\n"))
	}
	return map[string]http.Handler{
		prometheusPrefix + "/": prometheus, prometheusPrefix: prometheus,
		grafanaPrefix + "/": dashboards, grafanaPrefix: dashboards,
	}
}

// dashboards says where redirects lead.
func (s *Server) dashboards() api.Dashboards {
	g := &s.opts.Grafana
	d := api.Dashboards{
		Embedded: grafanaPrefix, ServerURL: s.opts.ServerExternalURL,
		WorkerUID: g.WorkerUID, ModelUID: g.ModelUID, PDUID: g.PDUID, CacheServiceUID: g.CacheServiceUID,
	}
	if s.external != nil {
		d.GrafanaURL = s.external.String()
	}
	return d
}

// disabledHandler answers 404 and says why.
func disabledHandler(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, text)
	})
}
