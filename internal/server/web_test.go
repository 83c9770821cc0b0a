package server_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/server"
	"github.com/stackscope/stackscope/tests/programs"
)

// Who passes the web configuration file may read on Prometheus' own port. Without users in it the API's rules hold there.
func TestWhoReadsOnPrometheusPort(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	for _, tt := range []struct {
		name, text                         string
		anonymous, user, admin, adminBasic int
	}{
		{"users", fmt.Sprintf("basic_auth_users: {prometheus: %q}\n", hash), 401, 200, 401, 401},
		{"headers alone", "http_server_config: {headers: {X-Frame-Options: deny}}\n", 401, 401, 200, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t)
			o.DisableBuiltinObservability, o.DisableAnonymousViewer, o.NoTrustLoopback = false, true, true
			o.PrometheusPort = programs.FreePort(t)
			o.WebConfigFile = filepath.Join(t.TempDir(), "web.yml")
			testcert.WriteFile(t, o.WebConfigFile, []byte(tt.text))
			s := start(t, o)
			text, err := os.ReadFile(s.AdminTokenPath())
			if err != nil {
				t.Fatal(err)
			}
			token := strings.TrimSpace(string(text))
			url := "http://127.0.0.1:" + strconv.Itoa(o.PrometheusPort) + "/prometheus/-/healthy"
			for credential, want := range map[string]int{
				"": tt.anonymous, basic("prometheus", "right"): tt.user, "Bearer " + token: tt.admin, basic("admin", token): tt.adminBasic,
			} {
				header := []string{"Authorization", credential}
				if credential == "" {
					header = nil
				}
				if status, _, body := send(t, http.MethodGet, url, nil, header...); status != want {
					t.Errorf("%.12s: %d, want %d: %s", credential, status, want, body)
				}
			}
		})
	}
}

func TestFaultyWebConfigIsRefused(t *testing.T) {
	o := options(t)
	o.WebConfigFile = filepath.Join(t.TempDir(), "web.yml")
	testcert.WriteFile(t, o.WebConfigFile, []byte("basic_auth_user: {}\n"))
	if _, err := server.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--web.config.file "+o.WebConfigFile) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("%v", err)
	}
	o = options(t)
	o.PrometheusHTTPConfigPlain = true
	if _, err := server.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--builtin-prometheus-http-config-plain") {
		t.Errorf("%v", err)
	}
	// The directory is not made for a server that cannot start.
	o = options(t)
	o.DisableBuiltinObservability, o.DataDir = false, filepath.Join(t.TempDir(), "data")
	o.PrometheusHTTPConfigFile = filepath.Join(t.TempDir(), "no.yml")
	if _, err := server.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--builtin-prometheus-http-config-file "+o.PrometheusHTTPConfigFile) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(o.DataDir); err == nil {
		t.Error("the data directory is made before the configuration is looked at")
	}
}

// A certificate that is renewed is shown by the API, and the clients of this process believe it.
func TestCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	ca := testcert.NewAuthority(t, "one")
	o := options(t)
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	o.TLSCert, o.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca.Write(t, o.TLSCert, o.TLSKey, "127.0.0.1")
	s := start(t, o)
	shown := func() string {
		c := s.Client()
		defer c.CloseIdleConnections()
		resp, err := c.Get(s.URL() + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	first := shown()
	ca.Write(t, o.TLSCert, o.TLSKey, "127.0.0.1")
	eventually(t, hangTimeout, "the new certificate is shown", func() bool { return shown() != first })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "certificate is read again") {
		t.Errorf("log: %s", log.String())
	}
}

// A port that somebody chose and that TLS leaves closed is told; the one that nobody chose is not.
func TestPortThatTLSLeavesClosed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	testcert.NewAuthority(t, "one").Write(t, cert, key, "127.0.0.1")
	for name, tt := range map[string]struct {
		port int
		tls  bool
		want bool
	}{
		"chosen":             {programs.FreePort(t), true, true},
		"chosen, and no TLS": {programs.FreePort(t), false, false},
		"the default":        {server.DefaultOptions().Port, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			var log bytes.Buffer
			o.Logger, o.Port = slog.New(slog.NewTextHandler(&log, nil)), tt.port
			if tt.tls {
				o.TLSCert, o.TLSKey = cert, key
			}
			s, err := server.New(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if got := strings.Contains(log.String(), "--port is not opened"); got != tt.want {
				t.Errorf("told: %v, want %v: %s", got, tt.want, log.String())
			}
		})
	}
}
