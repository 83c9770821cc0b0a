package worker

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/fleet"
)

// A worker behind a web configuration file says how it is scraped, and shows its metrics to who has a password and to its own process.
func TestWebConfig(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []fleet.MetricsScheme{fleet.MetricsHTTP, fleet.MetricsHTTPS} {
		dir := t.TempDir()
		ca := testcert.NewAuthority(t, "one")
		ca.Write(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), "127.0.0.1")
		text, scheme := fmt.Sprintf("basic_auth_users: {prometheus: %q}\n", hash), "http"
		if want == fleet.MetricsHTTPS {
			text, scheme = text+"tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n", "https"
		}
		f := newFakeServer(t)
		o := options(t)
		o.ServerURL, o.Token, o.Address, o.WebConfigFile = f.URL, joinToken, "gpu-1.example", filepath.Join(dir, "web.yml")
		testcert.WriteFile(t, o.WebConfigFile, []byte(text))
		w := run(t, o)
		eventually(t, "it joins", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.registered) > 0
		})
		f.mu.Lock()
		said := f.registered[0].MetricsScheme
		f.mu.Unlock()
		if said != want {
			t.Errorf("%s: it says %q", scheme, said)
		}

		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}}
		status := func(c *http.Client, url, password string) int {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if password != "" {
				req.SetBasicAuth("prometheus", password)
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		c, url := &http.Client{Transport: transport}, scheme+"://"+w.Addr()
		for _, path := range []string{"/", "/metrics", "/metrics/raw"} {
			if got := status(c, url+path, ""); got != http.StatusUnauthorized {
				t.Errorf("%s%s without a password: %d", url, path, got)
			}
			if got := status(c, url+path, "right"); got != http.StatusOK {
				t.Errorf("%s%s: %d", url, path, got)
			}
		}
		if got := status(c, url+"/healthz", ""); got != http.StatusOK {
			t.Errorf("%s/healthz: %d", url, got)
		}
		transport.CloseIdleConnections()

		_, port, _ := net.SplitHostPort(w.Addr())
		if w.Inside("127.0.0.1:"+port) != nil {
			t.Error("another's address is taken for its own")
		}
		dial := w.Inside("gpu-1.example:" + port)
		if dial == nil {
			t.Fatal("it can't be reached from inside")
		}
		inside := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
		if got := status(&http.Client{Transport: inside}, "http://gpu-1.example:"+port+"/metrics", ""); got != http.StatusOK {
			t.Errorf("from inside: %d", got)
		}
		inside.CloseIdleConnections()
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	}
}

// Without a file there is nothing that a process must get around.
func TestNoWebConfig(t *testing.T) {
	f := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = f.URL, joinToken
	w := run(t, o)
	eventually(t, "it joins", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.registered) > 0
	})
	if w.Inside(w.Addr()) != nil {
		t.Error("it is scraped from inside")
	}
	o = options(t)
	o.WebConfigFile = filepath.Join(t.TempDir(), "no.yml")
	if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--web.config.file "+o.WebConfigFile) {
		t.Errorf("%v", err)
	}
}
