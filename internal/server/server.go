// Package server assembles the server: inventory, mapping, store, API, metrics and the embedded Prometheus and Grafana.
package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/base/certfile"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/paths"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/externalprom"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/grafana"
	"github.com/stackscope/stackscope/internal/inventory"
	"github.com/stackscope/stackscope/internal/mapsync"
	"github.com/stackscope/stackscope/internal/prom"
	"github.com/stackscope/stackscope/internal/store"
	"github.com/stackscope/stackscope/internal/targets"
)

const (
	// drainTimeout is how long open requests may take once the server stops (HTTP/2 alone takes a second to say goodbye).
	drainTimeout = 1500 * time.Millisecond
	// closeTime is what of StopTimeout is kept for the rest when Prometheus needs all of its own.
	closeTime = 700 * time.Millisecond
)

// Server is a server as a value: several may live in one process.
type Server struct {
	opts      Options
	logger    *slog.Logger
	stack     lifecycle.Stack
	store     *store.Store
	inventory *inventory.Inventory
	publisher *mapsync.Publisher
	prom      *prom.Prometheus // nil: disabled
	grafana   *grafana.Grafana // nil: disabled
	external  *url.URL         // an outside Grafana's; nil: none
	// externalProm answers queries from the Prometheus of --prometheus-url; nil: none is given.
	externalProm  *externalprom.Handler
	api           *api.API
	main          *listener
	metrics       *listener // nil: disabled
	page          *page     // of that listener
	targetReaders api.TargetReaders
	promPort      *listener // nil: /prometheus is on the API's port alone
	web           webPorts
	cert          *certfile.Pair // nil: the API has no TLS

	workerToken, adminToken string
	readToken               string // the embedded Grafana's, new at each start
	state                   atomic.Int32
}

// shownDataDir is what the data directory is called in answers to strangers.
const shownDataDir = "DATA_DIR"

// The server's state, for /readyz.
const (
	starting int32 = iota
	serving
	stopping
)

// listener is an HTTP server and the listener that it will serve.
type listener struct {
	name   string
	ln     net.Listener
	srv    *inbound.Server
	secure bool // serves TLS
}

// New makes the data directory and the tokens, opens the store and binds the listeners; requests are answered once Run is
// called. When it fails, everything that it opened is closed again.
func New(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	external, notes, err := grafana.NormalizeURL(o.GrafanaURL)
	if err != nil {
		return nil, fmt.Errorf("--grafana-url: %w", err)
	}
	s := &Server{opts: o, logger: o.Logger.With(logging.KeyComponent, "server"), readToken: rand.Text(), external: external}
	for _, note := range notes {
		s.logger.Warn("look at --grafana-url", "note", note)
	}
	if external != nil {
		s.logger.Info("the embedded Prometheus and Grafana are off, because --grafana-url is given", "grafana", external.String())
	}
	if err := s.openExternalPrometheus(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	tlsConfig, err := s.loadTLS()
	if err != nil {
		return nil, err
	}
	if err := s.loadWebConfig(); err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(o.DataDir, "--data-dir"); err != nil {
		return nil, err
	}
	if files := inbound.Files(); files > 0 && files < enoughFiles {
		s.logger.Warn("this process may open few files, which bounds its connections: raise the limit with ulimit -n or LimitNOFILE=",
			"files", files, "enough", enoughFiles, "api_connections", inbound.Share(maxAPIConnections, apiFiles))
	}
	if err := s.bind(tlsConfig); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	s.clearBackup() // the store has locked the directory
	if err := s.readTokens(); err != nil {
		return nil, err
	}
	if err := s.openObservability(); err != nil {
		return nil, err
	}
	if err := s.assemble(); err != nil { //nolint:contextcheck // a handler's context is its request's
		return nil, err
	}
	return s, nil
}

// bind opens the listeners. Their handlers are set by assemble.
func (s *Server) bind(tlsConfig *tls.Config) error {
	port, flag := s.opts.apiPort()
	var err error
	if s.main, err = s.listen("API", port, flag, inbound.Options{
		MaxConnections: inbound.Share(maxAPIConnections, apiFiles), Reserve: reservedConnections, SendBuffer: sendBuffer,
	}); err != nil {
		if tlsConfig != nil {
			err = fmt.Errorf("%w (with --tls-cert the API is at --tls-port, and --port is not opened)", err)
		}
		return err
	}
	s.main.srv.TLSConfig, s.main.secure = tlsConfig, tlsConfig != nil
	if !s.opts.DisableMetrics {
		if s.metrics, err = s.listen("metrics", s.opts.MetricsPort, "--metrics-port", inbound.Options{
			MaxConnections: inbound.Share(inbound.DefaultMaxConnections, otherFiles), SendBuffer: inbound.NearSendBuffer,
		}); err != nil {
			return err
		}
	}
	if s.builtin() && s.opts.PrometheusPort != 0 {
		s.promPort, err = s.listen("Prometheus", s.opts.PrometheusPort, "--builtin-prometheus-port", inbound.Options{
			MaxConnections: inbound.Share(inbound.DefaultMaxConnections, otherFiles), SendBuffer: sendBuffer,
		})
	}
	return err
}

// builtin reports whether Prometheus and Grafana are embedded.
func (s *Server) builtin() bool { return !s.opts.DisableBuiltinObservability && s.external == nil }

func (s *Server) readTokens() (err error) {
	if s.adminToken, err = readOrCreateToken(s.opts.DataDir, adminTokenFile, s.logger); err != nil {
		return err
	}
	if s.workerToken, err = readOrCreateToken(s.opts.DataDir, workerTokenFile, s.logger); err != nil {
		return err
	}
	if s.adminToken == s.workerToken {
		return fmt.Errorf("%s and %s in %s hold the same token, so that every worker could change everything: write another one into one of them, or remove it and one is made",
			adminTokenFile, workerTokenFile, s.opts.DataDir)
	}
	return nil
}

func (s *Server) listen(name string, port int, flag string, o inbound.Options) (*listener, error) {
	ln, err := lifecycle.Listen(s.opts.Host, port, flag)
	if err != nil {
		return nil, err
	}
	o.Logger = s.logger
	l := &listener{name: name, ln: ln, srv: inbound.New(nil, o)}
	s.stack.Push(name+" listener", func(context.Context) error {
		err := errors.Join(l.srv.Close(), ln.Close())
		if errors.Is(err, net.ErrClosed) {
			return nil // Serve closed it
		}
		return err
	})
	return l, nil
}

// open opens the store and what lives on it.
func (s *Server) open(ctx context.Context) error {
	st, err := store.Open(ctx, store.Options{Dir: s.opts.DataDir, Tokens: []string{adminTokenFile, workerTokenFile}, Logger: s.opts.Logger})
	if err != nil {
		return err
	}
	s.store = st
	s.stack.Push("store", func(context.Context) error { return st.Close() })
	if s.inventory, err = inventory.New(ctx, inventory.Options{Store: st, Logger: s.opts.Logger, HeartbeatGrace: s.opts.HeartbeatGrace, ReportInterval: s.opts.ReportInterval, Version: s.opts.version()}); err != nil {
		return err
	}
	s.publisher, err = mapsync.NewPublisher(ctx, mapsync.PublisherOptions{Store: generations{st, s.inventory.RecordStoreFailure}, Logger: s.opts.Logger})
	return err
}

// assemble gives the listeners their handlers.
func (s *Server) assemble() error {
	mounts := s.mounts()
	pages, err := s.newConsole()
	if err != nil {
		return err
	}
	maps.Copy(mounts, pages.Data())
	s.api, err = api.New(api.Options{
		Mapping: mappingAPI{s.publisher}, Inventory: s.inventory,
		AdminToken: s.adminToken, AdminTokenPath: s.AdminTokenPath(),
		WorkerToken: s.workerToken, WorkerTokenPath: s.workerTokenPath(),
		DisableAnonymousViewer: s.opts.DisableAnonymousViewer, NoTrustLoopback: s.opts.NoTrustLoopback,
		TrustLoopbackRoot: s.opts.TrustLoopbackRoot, UID: os.Geteuid(), OwnerUID: s.opts.ownerUID,
		ReportInterval: s.opts.ReportInterval, Version: s.opts.version(), Ready: s.ready, DataDir: paths.Hide(s.opts.DataDir, shownDataDir),
		ReadToken: s.readToken, Dashboards: s.dashboards(), Doctor: s.newDoctor(),
		Mounts: mounts, OpenMounts: pages.Pages(), Bundle: s.bundleParts(), Backup: s.makeBackup, Logger: s.opts.Logger,
	})
	if err != nil {
		return err
	}
	s.main.srv.Handler = s.api
	if s.promPort != nil {
		port := s.prom.PortHandler()
		s.promPort.srv.Handler = s.web.readAccess(port, s.api.Reading(port))
	}
	if s.metrics != nil {
		s.page, err = newPage(s.inventory.WriteMetrics, s.publisher.WriteMetrics, s.inventory.WriteVersions, s.inventory.WriteStoring, s.writeConnections, s.api.WriteFailures)
		if err != nil {
			return err
		}
		if s.prom != nil {
			s.page.process = append(s.page.process, s.prom.AppendMetrics)
		}
		if s.grafana != nil {
			s.page.parts = append(s.page.parts, s.grafana.WriteMetrics)
		}
		s.metrics.srv.Handler = api.NewMetrics(api.MetricsOptions{
			WritePage:    s.page.write,
			ContentType:  exposition.ContentType,
			Snapshot:     s.inventory.Snapshot,
			Targets:      func(sn *fleet.Snapshot) any { return targets.Workers(sn) },
			ProxyTargets: func(sn *fleet.Snapshot) any { return targets.ProxyWorkers(sn) },
			Readers:      &s.targetReaders,
			Logger:       s.opts.Logger,
		})
	}
	return s.applyWebConfig()
}

func (s *Server) loadTLS() (*tls.Config, error) {
	o := &s.opts
	if o.TLSCert == "" {
		return nil, nil
	}
	var err error
	if s.cert, err = certfile.LoadPair(o.TLSCert, o.TLSKey, s.logger); err != nil {
		return nil, fmt.Errorf("--tls-cert %s with --tls-key %s: %w", o.TLSCert, o.TLSKey, err)
	}
	if o.Port != DefaultOptions().Port {
		s.logger.Warn("--port is not opened, because --tls-cert is given: the API, /prometheus and /grafana are at --tls-port alone. Give the port that you mean as --tls-port",
			"port", o.Port, "tls_port", o.TLSPort)
	}
	return &tls.Config{GetCertificate: s.cert.GetCertificate, MinVersion: tls.VersionTLS12}, nil
}

func (s *Server) ready() error {
	switch s.state.Load() {
	case starting:
		return errors.New("the server is starting")
	case stopping:
		return errors.New("the server is stopping")
	}
	return s.problems()
}

// Addr returns the API's address as bound, such as "[::]:80".
func (s *Server) Addr() string { return s.main.ln.Addr().String() }

// MetricsAddr returns the metrics listener's address as bound; empty when it is disabled.
func (s *Server) MetricsAddr() string {
	if s.metrics == nil {
		return ""
	}
	return s.metrics.ln.Addr().String()
}

// URL returns an address of the API that works on this machine, such as http://127.0.0.1:80.
func (s *Server) URL() string {
	scheme := "http"
	if s.main.secure {
		scheme = "https"
	}
	return scheme + "://" + loopbackAddress(s.main.ln)
}

// loopbackAddress turns a listener's address into one that can be dialled from this machine.
func loopbackAddress(ln net.Listener) string {
	host, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return ln.Addr().String()
	}
	switch ip := net.ParseIP(host); {
	case ip.Equal(net.IPv4zero), ip.Equal(net.IPv6zero): // [::] takes IPv4 too
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// WorkerToken returns the token with which workers join.
func (s *Server) WorkerToken() string { return s.workerToken }

// workerTokenPath returns the file that holds it.
func (s *Server) workerTokenPath() string {
	path := filepath.Join(s.opts.DataDir, workerTokenFile)
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// AdminTokenPath returns the file that holds the admin token.
func (s *Server) AdminTokenPath() string { return filepath.Join(s.opts.DataDir, adminTokenFile) }

// Run serves until ctx ends or a part fails, then stops everything, within StopTimeout, and closes the server. It returns nil
// when ctx ended and every part stopped in time.
func (s *Server) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer endBackground()
	var parts sync.WaitGroup
	var failed failures
	start := func(name string, run func(context.Context) error) {
		parts.Go(func() {
			if err := run(background); err != nil {
				failed.add(fmt.Errorf("%s: %w", name, err))
				cancel()
			}
		})
	}
	start("inventory", s.inventory.Run)
	start("store", s.store.Run)
	if s.prom != nil {
		start("Prometheus", s.prom.Run)
		start("scrape targets", s.followTargets)
	}
	if s.grafana != nil {
		start("Grafana", s.grafana.Run)
	}
	s.state.Store(serving)
	for _, l := range append(s.listeners(), s.web.inProcess...) {
		start(l.name+" listener", func(context.Context) error { return l.serve() })
		if !slices.Contains(s.web.inProcess, l) {
			s.logger.Info("listening", "what", l.name, "address", l.ln.Addr().String())
		}
	}

	<-ctx.Done()
	s.state.Store(stopping)
	deadline, expire := context.WithTimeout(context.WithoutCancel(ctx), s.opts.StopTimeout)
	defer expire()
	endBackground()
	s.drain(deadline)
	if !lifecycle.Wait(deadline, &parts) {
		failed.add(fmt.Errorf("some parts did not stop within %s", s.opts.StopTimeout))
	}
	return failed.join()
}

// failures collects errors of parts that run side by side.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

func (f *failures) join() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

func (s *Server) listeners() []*listener {
	return slices.DeleteFunc([]*listener{s.main, s.metrics, s.promPort}, func(l *listener) bool { return l == nil })
}

func (l *listener) serve() error {
	var err error
	if l.secure {
		err = l.srv.ServeTLS(l.ln)
	} else {
		err = l.srv.Serve(l.ln)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// drain lets open requests finish, but not for long.
func (s *Server) drain(ctx context.Context) {
	s.api.EndStreams()
	var wg sync.WaitGroup
	for _, l := range append(s.listeners(), s.web.inProcess...) {
		wg.Go(func() {
			if err := lifecycle.Shutdown(ctx, drainTimeout, l.srv); err != nil {
				s.logger.Warn("requests were cut off", "listener", l.name, "error", err)
			}
		})
	}
	wg.Wait()
}

// Close releases what New opened. Run does so itself: Close is for a server that is not run. A second call does nothing.
func (s *Server) Close() error { return s.close(context.Background()) }

// close goes on when ctx has ended.
func (s *Server) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.StopTimeout)
	defer cancel()
	return s.stack.Stop(ctx)
}
