package server

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/stackscope/stackscope/internal/base/ownaddress"
	"github.com/stackscope/stackscope/internal/base/paths"
	"github.com/stackscope/stackscope/internal/base/routes"
	"github.com/stackscope/stackscope/internal/console"
	"github.com/stackscope/stackscope/internal/externalprom"
	"github.com/stackscope/stackscope/internal/grafana"
	"github.com/stackscope/stackscope/web"
)

// newConsole makes the console, which reads nothing before the first request.
func (s *Server) newConsole() (*console.Console, error) {
	standard := DefaultOptions().Grafana
	g := s.opts.Grafana
	o := console.Options{
		FrameAncestors: s.opts.ConsoleFrameAncestors,
		Version:        s.opts.version(),
		Prometheus:     s.queried(),
		ScrapeInterval: s.opts.PrometheusScrapeInterval,
		Grafana:        s.shownGrafana,
		NeedsToken:     s.opts.DisableAnonymousViewer,
		ServerURL:      s.opts.ServerExternalURL,
		ReachedFrom:    s.reachedFrom,
		TokenPath:      s.workerTokenPath(),
		Aliases: map[string]string{
			g.WorkerUID: standard.WorkerUID, g.ModelUID: standard.ModelUID, g.PDUID: standard.PDUID, g.CacheServiceUID: standard.CacheServiceUID,
		},
	}
	if files, ok := web.Console(); ok {
		o.Files = files
	}
	if s.opts.consoleFiles != nil {
		o.Files = s.opts.consoleFiles
	}
	c, err := console.New(o)
	if err != nil {
		return nil, fmt.Errorf("--console-frame-ancestors: %w", err)
	}
	return c, nil
}

// queried says which Prometheus the console asks.
func (s *Server) queried() console.Prometheus {
	p := console.Prometheus{Available: s.prom != nil || s.externalProm != nil}
	if s.prom != nil {
		p.UI = prometheusPrefix + "/"
	}
	if !p.Available {
		p.Reason = "the embedded Prometheus is turned off by " + s.turnedOffBy() + ": start the server with --prometheus-url URL, the address of the Prometheus that scrapes the workers, or without " + s.turnedOffBy()
	}
	return p
}

// turnedOffBy names the flag without which Prometheus and Grafana would be embedded.
func (s *Server) turnedOffBy() string {
	if s.external != nil {
		return "--grafana-url"
	}
	return "--disable-builtin-observability"
}

// shownGrafana returns the state of Grafana as the client of a request may know it.
func (s *Server) shownGrafana(ctx context.Context) console.Grafana {
	g := console.Grafana{URL: grafanaPrefix + "/"}
	switch {
	case s.external != nil:
		g.Phase = console.PhaseExternal
		return g
	case s.grafana == nil && !s.builtin():
		g.Phase, g.Reason = string(grafana.PhaseAbsent), "it is turned off by --disable-builtin-observability; --grafana-url URL names one of your own"
		return g
	case s.grafana == nil:
		g.Phase, g.Reason = string(grafana.PhaseAbsent), "it is turned off by --disable-builtin-grafana"
		return g
	}
	status := s.grafana.Status()
	g.Phase = string(status.Phase)
	if status.Phase == grafana.PhaseAbsent {
		g.Reason = "Grafana is not installed on the server's machine: stackscope grafana install installs it"
	} else {
		g.Reason = paths.Hide(s.opts.DataDir, shownDataDir).For(ctx, status.Reason)
	}
	return g
}

// reachedFrom returns the host at which other machines reach the API; empty: they do not, because it listens on loopback alone.
func (s *Server) reachedFrom(ctx context.Context) string {
	host := ownaddress.Find(ctx, s.opts.Host, "")
	if ip := net.ParseIP(host); ip == nil || ip.IsLoopback() {
		return ""
	}
	return host
}

// openExternalPrometheus reads --prometheus-url.
func (s *Server) openExternalPrometheus() error {
	u, err := externalprom.ParseURL(s.opts.PrometheusURL)
	if err != nil {
		return fmt.Errorf("--prometheus-url: %w", err)
	}
	if u != nil {
		s.externalProm = externalprom.New(externalprom.Options{URL: u, PathPrefix: prometheusPrefix, Logger: s.opts.Logger})
		s.logger.Info("queries are answered by the Prometheus of --prometheus-url", "url", s.externalProm.Address())
	}
	return nil
}

// withExternalPrometheus lets the Prometheus of --prometheus-url answer its routes, and rest all others.
func (s *Server) withExternalPrometheus(rest http.Handler) http.Handler {
	if s.externalProm == nil {
		return rest
	}
	mux := routes.NewMux()
	for _, r := range s.externalProm.Routes() {
		mux.Handle(r.Pattern, s.externalProm)
	}
	mux.Handle("/", rest)
	return routes.With(mux, func() []routes.Route {
		list := s.externalProm.Routes()
		if inner, ok := rest.(routes.Lister); ok {
			list = append(list, inner.Routes()...)
		}
		return routes.Sorted(list)
	})
}
