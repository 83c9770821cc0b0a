package server

import (
	"crypto/tls"
	"errors"
	"net/http"
)

// Client returns a client that reaches this server at URL. When the server has a certificate, which is hardly one for
// 127.0.0.1, the client accepts that certificate, also a new one in its place, and no other. nil means that any client will do.
func (s *Server) Client() *http.Client {
	if !s.main.secure {
		return nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.TLSClientConfig = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection asks for more: a certificate that this server has shown
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || !s.cert.Shown(state.PeerCertificates[0].Raw) {
				return errors.New("another server answers at this server's address")
			}
			return nil
		},
	}
	return &http.Client{Transport: transport}
}
