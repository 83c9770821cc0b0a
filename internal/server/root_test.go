package server_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/server"
	"github.com/stackscope/stackscope/tests/programs"
)

// landing asks as a browser does and returns where it ends. Each redirect must stay on the origin.
func landing(t *testing.T, c *http.Client, url string) (path string, status int, contentType string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	host := r.URL.Host
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	if resp.Request.URL.Host != host {
		t.Errorf("%s leads to %s", url, resp.Request.URL)
	}
	return resp.Request.URL.RequestURI(), resp.StatusCode, resp.Header.Get("Content-Type")
}

// TestRootOfPrometheusPort: / of Prometheus' own port and /prometheus on each port lead to the UI, however the server is started.
func TestRootOfPrometheusPort(t *testing.T) {
	dir := t.TempDir()
	ca := testcert.NewAuthority(t, "one")
	ca.Write(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), "127.0.0.1")
	testcert.WriteFile(t, filepath.Join(dir, "web.yml"), []byte("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"))
	for name, set := range map[string]func(*server.Options){
		"alone":        func(*server.Options) {},
		"no metrics":   func(o *server.Options) { o.DisableMetrics = true },
		"external URL": func(o *server.Options) { o.ServerExternalURL = "https://obs.example.com/stack" },
		"TLS of the API": func(o *server.Options) {
			o.TLSCert, o.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		},
		"TLS of the port":     func(o *server.Options) { o.WebConfigFile = filepath.Join(dir, "web.yml") },
		"viewers need tokens": func(o *server.Options) { o.DisableAnonymousViewer, o.NoTrustLoopback = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.DisableBuiltinObservability, o.PrometheusPort = false, programs.FreePort(t)
			set(&o)
			s := start(t, o)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}}
			t.Cleanup(client.CloseIdleConnections)
			scheme := "http"
			if o.WebConfigFile != "" {
				scheme = "https"
			}
			port := scheme + "://127.0.0.1:" + strconv.Itoa(o.PrometheusPort)
			for _, url := range []string{port, port + "/", port + "/prometheus", port + "/prometheus/", s.URL() + "/prometheus", s.URL() + "/prometheus/"} {
				path, status, contentType := landing(t, client, url)
				if o.DisableAnonymousViewer {
					if status != http.StatusUnauthorized {
						t.Errorf("%s without a token: %d at %s", url, status, path)
					}
					continue
				}
				if status != http.StatusOK || !strings.HasPrefix(path, "/prometheus/") || !strings.HasPrefix(contentType, "text/html") {
					t.Errorf("%s: %d %s at %s", url, status, contentType, path)
				}
			}
			if path, _, _ := landing(t, client, port+"/?g0.expr=up"); !o.DisableAnonymousViewer && !strings.HasSuffix(path, "?g0.expr=up") {
				t.Errorf("the query is lost: %s", path)
			}
			if path, status, _ := landing(t, client, port+"/elsewhere"); status == http.StatusOK {
				t.Errorf("/elsewhere: %d at %s", status, path)
			}
		})
	}
}

// TestRootWithoutPrometheus: the port is not opened, and /prometheus says which flag to leave out.
func TestRootWithoutPrometheus(t *testing.T) {
	grafana := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(grafana.Close)
	for name, set := range map[string]func(*server.Options){
		"--disable-builtin-observability": func(o *server.Options) { o.DisableBuiltinObservability = true },
		"--grafana-url":                   func(o *server.Options) { o.GrafanaURL = grafana.URL },
	} {
		o := options(t)
		o.DisableBuiltinObservability, o.PrometheusPort = false, programs.FreePort(t)
		set(&o)
		s := start(t, o)
		for _, path := range []string{"/prometheus", "/prometheus/"} {
			if status, _, body := get(t, s.URL()+path); status != http.StatusNotFound || !strings.Contains(body, name) {
				t.Errorf("%s: %s: %d %s", name, path, status, body)
			}
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(o.PrometheusPort)+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: the port of Prometheus is open", name)
		}
	}
}
