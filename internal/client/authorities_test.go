package client_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/client"
)

// privateServer answers every request, with a certificate of ca.
func privateServer(t *testing.T, ca *testcert.Authority) *httptest.Server {
	t.Helper()
	return namedServer(t, ca, "127.0.0.1")
}

// namedServer does so with a certificate for names.
func namedServer(t *testing.T, ca *testcert.Authority, names ...string) *httptest.Server {
	t.Helper()
	pair, err := tls.X509KeyPair(ca.Sign(t, names...))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"version":"v1"}`) }))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func TestCAFile(t *testing.T) {
	ca, other := testcert.NewAuthority(t, "one"), testcert.NewAuthority(t, "two")
	srv, stranger := privateServer(t, ca), privateServer(t, other)
	path := filepath.Join(t.TempDir(), "ca.pem")
	testcert.WriteFile(t, path, ca.PEM)
	try := func(url, caFile string) error {
		_, err := newClient(t, client.Options{BaseURL: url, CAFile: caFile}).Version(t.Context())
		return err
	}
	if err := try(srv.URL, path); err != nil {
		t.Error(err)
	}
	if err := try(srv.URL, ""); err == nil || !strings.Contains(err.Error(), "--ca-file FILE") {
		t.Errorf("%v", err)
	}
	if err := try(stranger.URL, path); err == nil || !strings.Contains(err.Error(), "none of the authorities in --ca-file "+path) {
		t.Errorf("%v", err)
	}
	// A request that lasts longer than others is made with the same authorities.
	c := newClient(t, client.Options{BaseURL: srv.URL, CAFile: path})
	if _, err := c.TryConfig(t.Context(), []byte("{}"), client.Change{IfGeneration: client.AnyGeneration}, 30*time.Second); err == nil || strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err) // the answer is none of a dry run
	}
	for content, want := range map[string]string{"nothing": "no certificate", "-": "no such file"} {
		bad := filepath.Join(t.TempDir(), "bad.pem")
		if content != "-" {
			testcert.WriteFile(t, bad, []byte(content))
		}
		if _, err := client.New(client.Options{BaseURL: srv.URL, CAFile: bad}); err == nil || !strings.Contains(err.Error(), "--ca-file "+bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}

// Where no URL can help, another certificate is asked for.
func TestCertificateForNoSuchName(t *testing.T) {
	ca := testcert.NewAuthority(t, "one")
	path := filepath.Join(t.TempDir(), "ca.pem")
	testcert.WriteFile(t, path, ca.PEM)
	const useName, haveMade = "use a name in the URL that the certificate holds", "have one made with the server's name in it (openssl: -addext subjectAltName="
	for _, tt := range []struct {
		names      []string
		host       string
		want, lack string
	}{
		{nil, "127.0.0.1", haveMade + "IP:127.0.0.1)", useName},
		{nil, "localhost", haveMade + "DNS:localhost)", useName},
		{[]string{"gpu-head"}, "127.0.0.1", useName, haveMade},
		{[]string{"gpu-head"}, "localhost", useName, haveMade},
		{[]string{"10.0.0.1"}, "localhost", useName, haveMade},
	} {
		url := strings.Replace(namedServer(t, ca, tt.names...).URL, "127.0.0.1", tt.host, 1)
		_, err := newClient(t, client.Options{BaseURL: url, CAFile: path}).Version(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), tt.lack) {
			t.Errorf("%q asked as %s: %v", tt.names, tt.host, err)
		}
	}
}

// A server that gets a certificate of another authority is reached again once the file has that one.
func TestCAFileIsTakenUp(t *testing.T) {
	ca, other := testcert.NewAuthority(t, "one"), testcert.NewAuthority(t, "two")
	srv := privateServer(t, other)
	path := filepath.Join(t.TempDir(), "ca.pem")
	testcert.WriteFile(t, path, ca.PEM)
	var log bytes.Buffer
	c := newClient(t, client.Options{BaseURL: srv.URL, CAFile: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := c.Version(t.Context()); err == nil {
		t.Fatal("a stranger is believed")
	}
	testcert.WriteFile(t, path, other.PEM)
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		_, err := c.Version(t.Context())
		if err == nil {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal(err)
		}
	}
	if !strings.Contains(log.String(), "is read again") {
		t.Errorf("log: %s", log.String())
	}
}
