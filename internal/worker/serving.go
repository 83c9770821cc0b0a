package worker

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/ownaddress"
	"github.com/stackscope/stackscope/internal/base/secret"
	"github.com/stackscope/stackscope/internal/base/webport"
	"github.com/stackscope/stackscope/internal/fleet"
)

// maxConnections bounds the connections to the metrics port; where the process may not open many files, they are percentOfFiles.
const (
	maxConnections = 512
	percentOfFiles = 25
)

// userKeyFile holds the worker's own key for --hash-users.
const userKeyFile = "user-hash-key"

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

// openPort opens the metrics port.
func (w *Worker) openPort(ctx context.Context) (err error) {
	o := &w.opts
	if w.port, err = webport.Open(webport.Options{
		Name: "worker metrics", Flag: "--worker-metrics-port", Host: o.MetricsHost, Port: o.MetricsPort, Handler: w.handler,
		WebConfigFile: o.WebConfigFile, Open: []string{"/healthz"}, Logger: o.Logger,
		Inbound: inbound.Options{MaxConnections: inbound.Share(maxConnections, percentOfFiles), SendBuffer: inbound.NearSendBuffer, Logger: w.logger},
	}); err != nil {
		return err
	}
	w.stack.Push("metrics port", func(context.Context) error { return w.port.Close() })
	if w.client != nil && w.port.Dialer() != nil {
		w.updateAddress(ctx) // a Prometheus in this process must never scrape it from outside
	}
	return nil
}

// Addr is where the metrics are served, host:port; empty if they are not.
func (w *Worker) Addr() string { return w.port.Addr() }

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
	if w.port.TLS() {
		return fleet.MetricsHTTPS
	}
	return fleet.MetricsHTTP
}

// metricsURL is the local address of the metrics page, for the log.
func (w *Worker) metricsURL() string {
	scheme := cmp.Or(string(w.scheme()), "http") // fleet.MetricsHTTP is empty
	return scheme + "://" + w.Addr() + "/metrics"
}

// updateAddress finds the address under which the worker is scraped, and returns it.
func (w *Worker) updateAddress(ctx context.Context) string {
	host := w.opts.Address
	if host == "" {
		host = ownaddress.Find(ctx, w.opts.MetricsHost, w.opts.ServerURL)
	}
	w.address.Store(new(net.JoinHostPort(host, strconv.Itoa(w.metricsPort()))))
	return host
}

// Inside returns a dialer by which a Prometheus in this process reaches the metrics without the TLS and the passwords of the web
// configuration file. It is nil if no file is given, or if the worker is not registered at address, host:port.
func (w *Worker) Inside(address string) func(context.Context) (net.Conn, error) {
	if registered := w.address.Load(); registered == nil || *registered != address {
		return nil
	}
	return w.port.Dialer()
}
