package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/prom"
	"github.com/stackscope/stackscope/internal/targets"
	"github.com/stackscope/stackscope/web"
)

// prometheusPrefix is where GPUStack has it.
const prometheusPrefix = "/prometheus"

// openPrometheus takes the embedded Prometheus' data directory; nil when it is disabled.
func (s *Server) openPrometheus() (*prom.Prometheus, error) {
	if s.opts.DisableBuiltinObservability {
		return nil, nil
	}
	o := prom.Options{
		Dir:            filepath.Join(s.opts.DataDir, "prometheus"),
		RetentionTime:  s.opts.RetentionTime,
		RetentionBytes: s.opts.RetentionSize,
		StopTimeout:    s.opts.StopTimeout - closeTime,
		PathPrefix:     prometheusPrefix,
		Logger:         s.opts.Logger,
	}
	if ui, ok := web.PrometheusUI(); ok {
		o.UI = ui
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
		s.prom.SetTargets(prom.JobServer, []targets.Group{{Targets: []string{reachable(s.metrics.ln)}, Labels: map[string]string{}}})
	}
	for {
		s.prom.SetTargets(prom.JobWorkers, targets.Workers(s.inventory.Snapshot()))
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// mounts returns the handlers beside the API and the links to them.
func (s *Server) mounts() (map[string]http.Handler, []api.Link) {
	var links []api.Link
	var prometheus http.Handler
	grafana := "Grafana is not installed with this server.\n"
	if s.prom != nil {
		prometheus = s.prom.Handler()
		links = append(links, api.Link{Href: prometheusPrefix + "/", Text: "Prometheus"})
		grafana = "Grafana is not installed with this server; Prometheus' UI is at " + prometheusPrefix + "/.\n"
	} else {
		prometheus = notHere("The embedded Prometheus is turned off: start the server without --disable-builtin-observability.\n")
	}
	return map[string]http.Handler{prometheusPrefix + "/": prometheus, "/grafana/": notHere(grafana)}, links
}

// notHere answers 404 and says why.
func notHere(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, text)
	})
}
