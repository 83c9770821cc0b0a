package server

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/pipe"
	"github.com/stackscope/stackscope/internal/base/routes"
	"github.com/stackscope/stackscope/internal/base/webconfig"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/prom"
)

// webPorts is what the web configuration file is for: the ports beside the API's.
type webPorts struct {
	file *webconfig.File // nil: none is given
	// inside leads to the metrics without TLS and passwords, for the embedded Prometheus, which knows neither.
	inProcess []*listener
	pipe      *pipe.Listener
	address   string
	worker    func(address string) func(context.Context) (net.Conn, error) // nil: none in this process
}

func (s *Server) loadWebConfig() (err error) {
	if s.web.file, err = webconfig.Load(s.opts.WebConfigFile, s.opts.Logger); err != nil {
		return err
	}
	if s.builtin() {
		if err := prom.CheckHTTPConfigFile(s.opts.PrometheusHTTPConfigFile); err != nil {
			return err // before there is a database
		}
	}
	if s.opts.DisableAnonymousViewer && !s.web.file.Restricts() {
		s.logger.Warn("--disable-anonymous-viewer leaves the metrics ports open: whoever reaches them reads the metrics and the addresses of all workers without a token. " +
			"Give --web.config.file with basic_auth_users (or client certificates that are verified) to this server and to its workers, or let only Prometheus reach these ports")
	}
	return nil
}

// applyWebConfig puts the file's rules around the handlers of its ports.
func (s *Server) applyWebConfig() error {
	for _, l := range []*listener{s.metrics, s.promPort} {
		if l == nil || s.web.file == nil {
			continue
		}
		if l == s.metrics && s.prom != nil {
			s.web.pipe, s.web.address = pipe.Listen(), loopbackAddress(l.ln)
			own := inbound.New(l.srv.Handler, inbound.Options{Logger: s.logger})
			s.web.inProcess = []*listener{{name: l.name + " inside", ln: s.web.pipe, srv: own}}
			s.stack.Push("metrics inside", func(context.Context) error { return own.Close() })
		}
		served, _ := l.srv.Handler.(routes.Lister)
		if err := s.web.file.Protect(l.srv.Server); err != nil {
			return err
		}
		if served != nil {
			l.srv.Handler = routes.With(l.srv.Handler, served.Routes)
		}
		l.secure = s.web.file.TLS()
	}
	return nil
}

// readAccess lets those through to prometheus who came with a password of the file, and all others to what asks for a token.
func (w *webPorts) readAccess(prometheus http.Handler, token routes.Lister) routes.Lister {
	return routes.With(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if webconfig.Authenticated(r.Context()) {
			prometheus.ServeHTTP(rw, r)
			return
		}
		token.ServeHTTP(rw, r)
	}), token.Routes)
}

// ScrapeInside makes the embedded Prometheus scrape a worker in this process over what inside returns for its address. It comes before
// Run.
func (s *Server) ScrapeInside(inside func(address string) func(context.Context) (net.Conn, error)) {
	s.web.worker = inside
}

// inProcessDialer returns how a part of this process is reached, nil for an address that isn't one's.
func (s *Server) inProcessDialer(address string) func(context.Context) (net.Conn, error) {
	if s.web.pipe != nil && address == s.web.address {
		return s.web.pipe.Dial
	}
	if s.web.worker != nil {
		return s.web.worker(address)
	}
	return nil
}

// withInProcessWorkers returns the snapshot with workers as the embedded Prometheus reaches them: without TLS where that is inside this process.
func (s *Server) withInProcessWorkers(snapshot *fleet.Snapshot) *fleet.Snapshot {
	own := func(w fleet.Worker) bool {
		return w.MetricsScheme != fleet.MetricsHTTP && s.inProcessDialer(net.JoinHostPort(w.Address, strconv.Itoa(w.MetricsPort))) != nil
	}
	if !slices.ContainsFunc(snapshot.Workers, own) {
		return snapshot
	}
	seen := *snapshot
	seen.Workers = slices.Clone(snapshot.Workers)
	for i := range seen.Workers {
		if own(seen.Workers[i]) {
			seen.Workers[i].MetricsScheme = fleet.MetricsHTTP
		}
	}
	return &seen
}
