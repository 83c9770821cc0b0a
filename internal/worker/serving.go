package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/ownaddress"
	"github.com/stackscope/stackscope/internal/base/pipe"
	"github.com/stackscope/stackscope/internal/base/secret"
	"github.com/stackscope/stackscope/internal/base/webconfig"
	"github.com/stackscope/stackscope/internal/fleet"
)

// maxConnections bounds the connections to the metrics port; where the process may not open many files, they are percentOfFiles.
const (
	maxConnections = 512
	percentOfFiles = 25
)

// userKeyFile holds the worker's own key for --hash-users.
const userKeyFile = "user-hash-key"

// serving is how the worker's metrics are served.
type serving struct {
	listener net.Listener           // nil: no metrics are served
	web      *webconfig.File        // nil: the port is open to everybody
	srv      *inbound.Server        // obeys web
	inside   *pipe.Listener         // nil: there is no web
	plain    *inbound.Server        // serves inside, without TLS and passwords, to a Prometheus in this process
	address  atomic.Pointer[string] // HOST:PORT under which the worker is registered
}

// userKey returns the key for --hash-users; nil: users' names are not hashed.
func userKey(o *Options) ([]byte, error) {
	if !o.HashUsers {
		return nil, nil
	}
	path := cmp.Or(o.UserHashKeyFile, filepath.Join(o.DataDir, userKeyFile))
	key, err := secret.ReadKey(path, o.UserHashKeyFile == "")
	if err != nil {
		return nil, fmt.Errorf("--user-hash-key-file %s: %w", path, err)
	}
	return key, nil
}

// openServing opens the metrics port.
func (w *Worker) openServing(ctx context.Context) (err error) {
	s := &w.serving
	if s.web, err = webconfig.Load(w.opts.WebConfigFile, w.opts.Logger); err != nil {
		return err
	}
	s.srv = w.newServer()
	if err := s.web.Protect(s.srv.Server, "/healthz"); err != nil {
		return err
	}
	if s.listener, err = lifecycle.Listen(w.opts.MetricsHost, w.opts.MetricsPort, "--worker-metrics-port"); err != nil {
		return err
	}
	w.stack.Push("metrics listener", func(context.Context) error {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil // serving it closed it
	})
	if s.web == nil {
		return nil
	}
	s.inside, s.plain = pipe.Listen(), w.newServer()
	if w.client != nil {
		w.updateAddress(ctx) // a Prometheus in this process must never scrape it from outside
	}
	return nil
}

func (w *Worker) newServer() *inbound.Server {
	return inbound.New(w.handler, inbound.Options{
		MaxConnections: inbound.Share(maxConnections, percentOfFiles), SendBuffer: inbound.NearSendBuffer, Logger: w.logger,
	})
}

// serve starts serving the metrics until ctx ends.
func (w *Worker) serve(ctx context.Context, parts *errgroup.Group) {
	s := &w.serving
	if s.listener == nil {
		return
	}
	run := func(srv *inbound.Server, ln net.Listener, serve func(net.Listener) error) {
		parts.Go(func() error {
			if err := serve(ln); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve worker metrics on %s: %w", ln.Addr(), err)
			}
			return nil
		})
		parts.Go(func() error {
			<-ctx.Done()
			_ = lifecycle.Shutdown(ctx, stopTimeout, srv) // a scrape that is cut off is the scraper's to report
			return nil
		})
	}
	if s.web.TLS() {
		run(s.srv, s.listener, s.srv.ServeTLS)
	} else {
		run(s.srv, s.listener, s.srv.Serve)
	}
	if s.inside != nil {
		run(s.plain, s.inside, s.plain.Serve)
	}
	w.logger.Info("worker serves metrics", "address", string(w.scheme())+"://"+w.Addr()+"/metrics", "engines", len(w.instances.Instances()))
}

// Addr is where the metrics are served, host:port; empty if they are not.
func (w *Worker) Addr() string {
	if w.serving.listener == nil {
		return ""
	}
	return w.serving.listener.Addr().String()
}

// metricsPort is the port to register; 0 if no metrics are served.
func (w *Worker) metricsPort() int {
	_, port, err := net.SplitHostPort(w.Addr())
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(port) // a listener's port is a number
	return n
}

func (w *Worker) scheme() fleet.MetricsScheme {
	if w.serving.listener != nil && w.serving.web.TLS() {
		return fleet.MetricsHTTPS
	}
	return fleet.MetricsHTTP
}

// updateAddress finds the address under which the worker is scraped, and returns it.
func (w *Worker) updateAddress(ctx context.Context) string {
	host := w.opts.Address
	if host == "" {
		host = ownaddress.Find(ctx, w.opts.MetricsHost, w.opts.ServerURL)
	}
	w.serving.address.Store(new(net.JoinHostPort(host, strconv.Itoa(w.metricsPort()))))
	return host
}

// Inside returns a dialer by which a Prometheus in this process reaches the metrics without the TLS and the passwords of the web
// configuration file. It is nil if no file is given, or if the worker is not registered at address, host:port.
func (w *Worker) Inside(address string) func(context.Context) (net.Conn, error) {
	registered := w.serving.address.Load()
	if w.serving.inside == nil || registered == nil || *registered != address {
		return nil
	}
	return w.serving.inside.Dial
}
