package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/pipe"
	"github.com/stackscope/stackscope/internal/base/webconfig"
	"github.com/stackscope/stackscope/internal/fleet"
)

// serving is how the worker's metrics are served.
type serving struct {
	web *webconfig.File // nil: none is given
	// inside leads to the metrics without TLS and passwords, for a Prometheus in this process that knows neither; nil: there is no need.
	inside *pipe.Listener
	target atomic.Pointer[string] // where the worker is registered to be scraped, host:port
}

func (w *Worker) openServing() (err error) {
	if w.web, err = webconfig.Load(w.opts.WebConfigFile, w.opts.Logger); err != nil || w.web == nil {
		return err
	}
	w.inside = pipe.Listen()
	return nil
}

// scheme is how the metrics are served.
func (w *Worker) scheme() fleet.MetricsScheme {
	if w.listener != nil && w.web.TLS() {
		return fleet.MetricsHTTPS
	}
	return fleet.MetricsHTTP
}

// Inside returns how a Prometheus in this process reaches the metrics without what the web configuration file asks of others, where they
// are registered at address, host:port; nil where they aren't, or where no file is given.
func (w *Worker) Inside(address string) func(context.Context) (net.Conn, error) {
	if w.inside == nil || w.target.Load() == nil || *w.target.Load() != address {
		return nil
	}
	return w.inside.Dial
}

// settleAddress notes under which address the worker is scraped, and returns it.
func (w *Worker) settleAddress(ctx context.Context) string {
	address := w.address(ctx)
	w.target.Store(new(net.JoinHostPort(address, strconv.Itoa(w.metricsPort()))))
	return address
}

// bounded returns what serves the metrics to who may ask without more ado.
func (w *Worker) bounded() *inbound.Server {
	return inbound.New(w.handler, inbound.Options{
		MaxConnections: inbound.Share(maxConnections, percentOfFiles), SendBuffer: inbound.NearSendBuffer, Logger: w.logger,
	})
}

// protected returns what serves the metrics by the rules of the web configuration file.
func (w *Worker) protected() (*inbound.Server, error) {
	srv := w.bounded()
	return srv, w.web.Protect(srv.Server, "/healthz")
}

// serve serves the metrics until ctx ends. It calls fail when they can't be.
func (w *Worker) serve(ctx context.Context, wg *sync.WaitGroup, fail func(error)) error {
	srv, err := w.protected()
	if err != nil {
		return err
	}
	run := func(srv *inbound.Server, ln net.Listener, serve func(net.Listener) error) {
		wg.Go(func() {
			if err := serve(ln); !errors.Is(err, http.ErrServerClosed) {
				fail(fmt.Errorf("serve worker metrics on %s: %w", ln.Addr(), err))
			}
		})
		wg.Go(func() {
			<-ctx.Done()
			stop, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
			defer done()
			if srv.Shutdown(stop) != nil {
				_ = srv.Close()
			}
		})
	}
	if w.web.TLS() {
		run(srv, w.listener, srv.ServeTLS)
	} else {
		run(srv, w.listener, srv.Serve)
	}
	if w.inside != nil {
		own := w.bounded()
		run(own, w.inside, own.Serve)
	}
	scheme := "http"
	if w.web.TLS() {
		scheme = "https"
	}
	w.logger.Info("worker serves metrics", "address", scheme+"://"+w.Addr()+"/metrics", "engines", len(w.roster.engines()))
	return nil
}
