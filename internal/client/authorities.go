package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/stackscope/stackscope/internal/base/certfile"
)

// withAuthorities carries requests to servers whose certificate one of the authorities has signed, and to no other. It makes a new
// transport when they change.
type withAuthorities struct {
	authorities *certfile.Authorities
	make        func() *http.Transport

	mu      sync.Mutex
	of      *x509.CertPool // what current believes
	current *http.Transport
}

func newWithAuthorities(path string, base func() *http.Transport, logger *slog.Logger) (*withAuthorities, error) {
	authorities, err := certfile.LoadAuthorities(path, logger)
	if err != nil {
		return nil, fmt.Errorf("--ca-file %s: %w", path, err)
	}
	return &withAuthorities{authorities: authorities, make: base}, nil
}

// transport returns the transport for the authorities of now.
func (w *withAuthorities) transport() *http.Transport {
	pool := w.authorities.Pool()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == nil || w.of != pool {
		if w.current != nil {
			w.current.CloseIdleConnections()
		}
		w.of, w.current = pool, w.make()
		w.current.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return w.current
}

// RoundTrip implements http.RoundTripper.
func (w *withAuthorities) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.transport().RoundTrip(r)
}

// CloseIdleConnections is what http.Client looks for.
func (w *withAuthorities) CloseIdleConnections() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != nil {
		w.current.CloseIdleConnections()
	}
}
