package prom

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stackscope/stackscope/internal/base/pipe"
	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/targets"
)

// guardedTarget serves a page to who has the password.
type guardedTarget struct {
	*httptest.Server
	asked, told atomic.Bool // with a password or without; with one
	redirect    string
}

func newGuardedTarget(t *testing.T, ca *testcert.Authority) *guardedTarget {
	t.Helper()
	g := &guardedTarget{}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked.Store(true)
		_, password, _ := r.BasicAuth()
		if password != "" {
			g.told.Store(true)
		}
		if g.redirect != "" {
			http.Redirect(w, r, g.redirect, http.StatusFound)
			return
		}
		if password != "right" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write([]byte(workerPage))
	}))
	if ca == nil {
		g.Start()
	} else {
		pair, err := tls.X509KeyPair(ca.Sign(t, "127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		g.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		g.StartTLS()
	}
	t.Cleanup(g.Close)
	return g
}

func (g *guardedTarget) group() targets.Group {
	labels := map[string]string{"cluster_id": "1"}
	if strings.HasPrefix(g.URL, "https") {
		labels[targets.LabelScheme] = "https"
	}
	return targets.Group{Targets: []string{g.Listener.Addr().String()}, Labels: labels}
}

// httpConfig writes a configuration that names its files by relative paths.
func httpConfig(t *testing.T, ca *testcert.Authority) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "http.yml")
	testcert.WriteFile(t, path, []byte("basic_auth: {username: prometheus, password_file: password}\ntls_config: {ca_file: ca.pem}\n"))
	testcert.WriteFile(t, filepath.Join(dir, "password"), []byte("right"))
	testcert.WriteFile(t, filepath.Join(dir, "ca.pem"), ca.PEM)
	return dir, path
}

func up(t *testing.T, in *instance, g *guardedTarget, want string) {
	t.Helper()
	in.await(t, `up{job="`+JobWorkers+`",instance="`+g.Listener.Addr().String()+`"} == `+want, some)
}

func TestCredentialsGoToWorkersWithTLS(t *testing.T) {
	t.Parallel()
	ca := testcert.NewAuthority(t, "one")
	dir, path := httpConfig(t, ca)
	secure, plain, stranger, sideways := newGuardedTarget(t, ca), newGuardedTarget(t, nil), newGuardedTarget(t, testcert.NewAuthority(t, "two")), newGuardedTarget(t, ca)
	other := newGuardedTarget(t, nil)
	sideways.redirect = other.URL
	in := start(t, Options{HTTPConfigFile: path})
	in.SetTargets(JobWorkers, []targets.Group{secure.group(), plain.group(), stranger.group(), sideways.group()})
	up(t, in, secure, "1")
	up(t, in, plain, "0")
	up(t, in, stranger, "0")
	up(t, in, sideways, "0")
	if !plain.asked.Load() || plain.told.Load() || stranger.asked.Load() || other.asked.Load() {
		t.Errorf("in clear: asked %t, told the password %t; a stranger is asked: %t; after a redirect: %t",
			plain.asked.Load(), plain.told.Load(), stranger.asked.Load(), other.asked.Load())
	}
	if got := in.query(t, `count by (job) (up)`); len(got) != 1 {
		t.Errorf("jobs: %v", got)
	}
	// A new password is taken up.
	testcert.WriteFile(t, filepath.Join(dir, "password"), []byte("wrong"))
	up(t, in, secure, "0")
	testcert.WriteFile(t, filepath.Join(dir, "password"), []byte("right"))
	up(t, in, secure, "1")
	// So is a new authority.
	testcert.WriteFile(t, filepath.Join(dir, "ca.pem"), testcert.NewAuthority(t, "three").PEM)
	secure.CloseClientConnections()
	up(t, in, secure, "0")

	_, shown := get(t, in.url+"/api/v1/status/config")
	_, list := get(t, in.url+"/api/v1/targets")
	for _, private := range []string{dir, "password", "basic_auth", "ca_file: "} {
		if strings.Contains(shown+list, private) {
			t.Errorf("shows %q", private)
		}
	}
	if !strings.Contains(list, "by a CA that this server does not trust: set tls_config.ca_file") {
		t.Errorf("it isn't said what is wrong with the certificate: %s", list)
	}
}

func TestCredentialsInClearWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	ca := testcert.NewAuthority(t, "one")
	_, path := httpConfig(t, ca)
	secure, plain := newGuardedTarget(t, ca), newGuardedTarget(t, nil)
	in := start(t, Options{HTTPConfigFile: path, HTTPConfigPlain: true})
	in.SetTargets(JobWorkers, []targets.Group{secure.group(), plain.group()})
	up(t, in, secure, "1")
	up(t, in, plain, "1")
}

// A part of this process is scraped in it, whatever its address resolves to.
func TestInside(t *testing.T) {
	t.Parallel()
	const address = "192.0.2.1:10151"
	ln := pipe.Listen()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write([]byte(workerPage))
	})}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	in := start(t, Options{Inside: func(a string) func(context.Context) (net.Conn, error) {
		if a == address {
			return ln.Dial
		}
		return nil
	}})
	in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{address}}})
	in.await(t, `up{instance="`+address+`"} == 1`, some)
}

// Credentials that go to whoever answers are told; without credentials there is nothing to give away.
func TestCredentialsWithoutVerification(t *testing.T) {
	t.Parallel()
	const insecure = "tls_config: {insecure_skip_verify: true}\n"
	for text, want := range map[string]bool{
		insecure: false,
		"basic_auth: {username: a, password: b}\n":             false,
		insecure + "basic_auth: {username: a, password: b}\n":  true,
		insecure + "authorization: {credentials: b}\n":         true,
		insecure + "bearer_token: b\n":                         true,
		insecure + "http_headers: {X-Token: {secrets: [b]}}\n": true,
	} {
		log := warningsOf(t, t.TempDir(), text)
		if got := strings.Contains(log, "insecure_skip_verify"); got != want {
			t.Errorf("%s: warned: %v, want %v: %s", text, got, want, log)
		}
	}
}

// warningsOf returns the warnings at a start with an HTTP client configuration, whose paths begin at dir.
func warningsOf(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "http.yml")
	testcert.WriteFile(t, path, []byte(text))
	var log bytes.Buffer
	p, err := New(Options{Dir: t.TempDir(), HTTPConfigFile: path, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	return log.String()
}

func TestFaultyHTTPConfig(t *testing.T) {
	dir := t.TempDir()
	testcert.WriteFile(t, filepath.Join(dir, "empty"), nil)
	for text, want := range map[string]string{
		"basic_aut: {}\n": "basic_aut",
		"basic_auth: {username: a, password_file: no}\n":      "no such file",
		"tls_config: {ca_file: no}\n":                         "no such file",
		"tls_config: {ca_file: empty}\n":                      "empty",
		"tls_config: {cert_file: empty}\n":                    "key",
		"proxy_url: http://10.0.0.1\n":                        "proxies are not supported",
		"oauth2: {client_id: a, token_url: 'http://b/'}\n":    "oauth2 is not supported",
		"basic_auth: {}\nauthorization: {credentials: abc}\n": "at most one",
	} {
		path := filepath.Join(dir, "http.yml")
		testcert.WriteFile(t, path, []byte(text))
		_, err := New(Options{Dir: t.TempDir(), HTTPConfigFile: path})
		if err == nil {
			t.Errorf("%s: it is taken", text)
			continue
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), httpConfigFlag+" "+path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
