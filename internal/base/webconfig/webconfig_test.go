package webconfig_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/base/webconfig"
	"github.com/stackscope/stackscope/tests/programs"
)

// lines collects what is logged.
type lines struct{ programs.Buffer }

func (l *lines) count(what string) int { return strings.Count(l.String(), what) }

// rig is a server behind a web configuration file.
type rig struct {
	dir, path, address string
	ca                 *testcert.Authority
	log                lines
	srv                *inbound.Server
}

func (r *rig) file(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(t *testing.T, text string) {
	t.Helper()
	testcert.WriteFile(t, r.path, []byte(text))
}

const withTLS = `tls_server_config: {cert_file: cert.pem, key_file: key.pem}
`

func users(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("basic_auth_users: {prometheus: %q}\n", hash)
}

func newRig(t *testing.T, text string) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), ca: testcert.NewAuthority(t, "one")}
	r.path = r.file("web.yml")
	r.ca.Write(t, r.file("cert.pem"), r.file("key.pem"), "127.0.0.1")
	testcert.WriteFile(t, r.file("ca.pem"), r.ca.PEM)
	r.write(t, text)
	return r
}

func (r *rig) serve(t *testing.T, h http.Handler) {
	t.Helper()
	f, err := webconfig.Load(r.path, slog.New(slog.NewTextHandler(&r.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r.srv = inbound.New(h, inbound.Options{})
	if err := f.Protect(r.srv.Server, "/healthz"); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = ln.Addr().String()
	done := make(chan error, 1)
	go func() {
		if f.TLS() {
			done <- r.srv.ServeTLS(ln)
		} else {
			done <- r.srv.Serve(ln)
		}
	}()
	t.Cleanup(func() {
		if err := r.srv.Shutdown(t.Context()); err != nil {
			_ = r.srv.Close()
		}
		<-done
	})
}

type clientRequest struct {
	path, user, password string
	certificate          []tls.Certificate
	http2                bool
}

// get sends a request on a new connection.
func (r *rig) get(t *testing.T, scheme string, a clientRequest) (*http.Response, string, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool(), Certificates: a.certificate, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: a.http2}
	defer transport.CloseIdleConnections()
	path := a.path
	if path == "" {
		path = "/metrics"
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+r.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.user != "" {
		req.SetBasicAuth(a.user, a.password)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func (r *rig) want(t *testing.T, scheme string, a clientRequest, status int) *http.Response {
	t.Helper()
	resp, body, err := r.get(t, scheme, a)
	if err != nil {
		t.Fatalf("%+v: %v", a, err)
	}
	if resp.StatusCode != status {
		t.Errorf("%+v: %d, want %d: %s", a, resp.StatusCode, status, body)
	}
	return resp
}

var page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprint(w, r.URL.Path, " ", webconfig.Authenticated(r.Context()))
})

func TestUsersAndTLS(t *testing.T) {
	r := newRig(t, withTLS+users(t, "right")+"http_server_config: {headers: {X-Frame-Options: deny}}\n")
	r.serve(t, page)
	r.want(t, "https", clientRequest{}, http.StatusUnauthorized)
	r.want(t, "https", clientRequest{user: "prometheus", password: "wrong"}, http.StatusUnauthorized)
	r.want(t, "https", clientRequest{user: "nobody", password: "right"}, http.StatusUnauthorized)
	r.want(t, "https", clientRequest{path: "/healthz"}, http.StatusOK)
	r.want(t, "http", clientRequest{user: "prometheus", password: "right"}, http.StatusBadRequest)
	for _, http2 := range []bool{false, true} {
		resp := r.want(t, "https", clientRequest{user: "prometheus", password: "right", http2: http2}, http.StatusOK)
		if resp.ProtoMajor == 2 != http2 || resp.Header.Get("X-Frame-Options") != "deny" {
			t.Errorf("%s, %v", resp.Proto, resp.Header)
		}
	}
	_, body, err := r.get(t, "https", clientRequest{user: "prometheus", password: "right"})
	if err != nil || body != "/metrics true" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestHTTP2CanBeTurnedOff(t *testing.T) {
	r := newRig(t, withTLS+"http_server_config: {http2: false}\n")
	r.serve(t, page)
	if resp := r.want(t, "https", clientRequest{http2: true}, http.StatusOK); resp.ProtoMajor != 1 {
		t.Errorf("%s", resp.Proto)
	}
}

func TestClientCertificates(t *testing.T) {
	r := newRig(t, "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}\n")
	r.serve(t, page)
	if _, _, err := r.get(t, "https", clientRequest{}); err == nil {
		t.Error("a client without a certificate is served")
	}
	cert := func(ca *testcert.Authority) []tls.Certificate {
		pair, err := tls.X509KeyPair(ca.Sign(t, "client"))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{pair}
	}
	if _, _, err := r.get(t, "https", clientRequest{certificate: cert(testcert.NewAuthority(t, "one"))}); err == nil {
		t.Error("a client with a certificate of another authority is served")
	}
	r.want(t, "https", clientRequest{certificate: cert(r.ca)}, http.StatusOK)
	// A change of the authority applies to new connections.
	other := testcert.NewAuthority(t, "two")
	testcert.WriteFile(t, r.file("ca.pem"), other.PEM)
	r.want(t, "https", clientRequest{certificate: cert(other)}, http.StatusOK)
	if _, _, err := r.get(t, "https", clientRequest{certificate: cert(r.ca)}); err == nil {
		t.Error("a client of the authority before is served")
	}
}

func TestFaultyFilesAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"unknown key":       {"basic_auth_user: {}\n", []string{"line 1", "basic_auth_user"}},
		"no YAML":           {"a: [\n", []string{"yaml", "line"}},
		"password in clear": {"basic_auth_users: {prometheus: secret-word}\n", []string{`"prometheus"`, "bcrypt"}},
		"expensive hash":    {"basic_auth_users: {prometheus: $2y$16$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}\n", []string{`"prometheus"`, "cost 16", "15 is the most"}},
		"no certificate":    {"tls_server_config: {cert_file: no.pem, key_file: key.pem}\n", []string{"no.pem", "no such file"}},
		"no key":            {"tls_server_config: {cert_file: cert.pem}\n", []string{"key_file"}},
		"no pair":           {"tls_server_config: {cert_file: ca.pem, key_file: key.pem}\n", []string{"private key"}},
		"no authority":      {"tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_auth_type: RequireAndVerifyClientCert, client_ca_file: key.pem}\n", []string{"client_ca_file", "key.pem", "no certificate"}},
		"client auth":       {"tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_auth_type: Sometimes}\n", []string{"Sometimes"}},
		"unknown header":    {"http_server_config: {headers: {X-Other: a}}\n", []string{"X-Other"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tt.text)
			_, err := webconfig.Load(r.path, nil)
			if err == nil {
				t.Fatal("it is accepted")
			}
			for _, want := range append(tt.want, "--web.config.file", r.path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("lacks %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret-word") {
				t.Errorf("%q", err)
			}
		})
	}
	if _, err := webconfig.Load(filepath.Join(t.TempDir(), "no.yml"), nil); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

// While the file is invalid, or protects less than at the start, all requests are refused.
func TestFaultyChangesAreRefused(t *testing.T) {
	right := clientRequest{user: "prometheus", password: "right"}
	secure := withTLS + users(t, "right")
	for name, text := range map[string]string{
		"empty":     "",
		"cut off":   withTLS,
		"no users":  withTLS + "basic_auth_users: {}\n",
		"no YAML":   "a: [\n",
		"no hash":   withTLS + "basic_auth_users: {prometheus: x}\n",
		"no TLS":    users(t, "right"),
		"not there": "-",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, secure)
			r.serve(t, page)
			r.want(t, "https", right, http.StatusOK)
			if text == "-" {
				if err := os.Remove(r.path); err != nil {
					t.Fatal(err)
				}
			} else {
				r.write(t, text)
			}
			for range 3 {
				r.want(t, "https", clientRequest{}, http.StatusServiceUnavailable)
				r.want(t, "https", right, http.StatusServiceUnavailable)
			}
			r.want(t, "https", clientRequest{path: "/healthz"}, http.StatusOK)
			if got := r.log.count("requests are refused"); got != 1 {
				t.Errorf("logged %d times: %s", got, r.log.String())
			}
			r.write(t, withTLS+users(t, "other"))
			r.want(t, "https", right, http.StatusUnauthorized)
			r.want(t, "https", clientRequest{user: "prometheus", password: "other"}, http.StatusOK)
			if got := r.log.count("is read again"); got != 1 {
				t.Errorf("logged %d times: %s", got, r.log.String())
			}
		})
	}
}

// A fault of a file that the web configuration names ends when that file is fixed.
func TestFaultOfAnotherFileEnds(t *testing.T) {
	r := newRig(t, withTLS+users(t, "right"))
	r.serve(t, page)
	cert, key := r.ca.Sign(t, "127.0.0.1")
	testcert.WriteFile(t, r.file("cert.pem"), cert)
	r.write(t, withTLS+users(t, "new"))
	r.want(t, "https", clientRequest{user: "prometheus", password: "new"}, http.StatusServiceUnavailable)
	testcert.WriteFile(t, r.file("key.pem"), key)
	r.want(t, "https", clientRequest{user: "prometheus", password: "new"}, http.StatusOK)
}

func TestWeakerClientCertificatesNeedARestart(t *testing.T) {
	r := newRig(t, "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}\n")
	r.serve(t, page)
	for _, text := range []string{
		withTLS, "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_auth_type: RequireAnyClientCert}\n",
		"tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_auth_type: RequireAndVerifyClientCert}\n", // then the system's authorities would be accepted
	} {
		r.write(t, text)
		if _, _, err := r.get(t, "https", clientRequest{}); err == nil {
			t.Errorf("with %s: a client without a certificate is served", text)
		}
	}
	if r.log.count("asks for less than before") != 1 || r.log.count("client_ca_file (or client_ca) is gone") != 1 { // two with the same reason are one
		t.Errorf("log: %s", r.log.String())
	}
}

// The allowed names can become fewer without a restart, but not more.
func TestMoreAllowedNamesNeedARestart(t *testing.T) {
	const text = "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, client_allowed_sans: [%s]}\n"
	r := newRig(t, fmt.Sprintf(text, "prometheus, other"))
	r.serve(t, page)
	own := func(name string) clientRequest {
		pair, err := tls.X509KeyPair(r.ca.Sign(t, name))
		if err != nil {
			t.Fatal(err)
		}
		return clientRequest{certificate: []tls.Certificate{pair}}
	}
	for _, tt := range []struct {
		text string
		want int
	}{
		{fmt.Sprintf(text, "prometheus"), http.StatusOK},
		{fmt.Sprintf(text, ""), http.StatusServiceUnavailable},
		{strings.Replace(text, ", client_allowed_sans: [%s]", "", 1), http.StatusServiceUnavailable},
		{fmt.Sprintf(text, "prometheus, other, unknown"), http.StatusServiceUnavailable},
		{fmt.Sprintf(text, "other, prometheus"), http.StatusOK},
	} {
		r.write(t, tt.text)
		r.want(t, "https", own("prometheus"), tt.want)
		if _, _, err := r.get(t, "https", own("unknown")); err == nil {
			t.Errorf("with %s: an unknown name is served", tt.text)
		}
	}
	if r.log.count("client_allowed_sans allows more names") != 1 {
		t.Errorf("log: %s", r.log.String())
	}
}

// Opening a named pipe would block, and it can be read only once.
func TestIrregularFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, link} {
		if _, err := webconfig.Load(path, nil); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	target := filepath.Join(dir, "web.yml")
	testcert.WriteFile(t, target, []byte(users(t, "right")))
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := webconfig.Load(link, nil); err != nil {
		t.Errorf("a link to a file: %v", err)
	}
}

// New users and headers apply at once; TLS needs a restart.
func TestChangesAreApplied(t *testing.T) {
	r := newRig(t, "http_server_config: {headers: {X-Frame-Options: deny}}\n")
	r.serve(t, page)
	r.want(t, "http", clientRequest{}, http.StatusOK)
	r.write(t, users(t, "new"))
	r.want(t, "http", clientRequest{}, http.StatusUnauthorized)
	r.want(t, "http", clientRequest{user: "prometheus", password: "new"}, http.StatusOK)
	r.write(t, withTLS+users(t, "new"))
	r.want(t, "http", clientRequest{user: "prometheus", password: "new"}, http.StatusServiceUnavailable)
	if r.log.count("turned on by a restart") != 1 {
		t.Errorf("log: %s", r.log.String())
	}
}

// While only one file of a new pair is written, the previous pair is used.
func TestNewCertificatesAreUsed(t *testing.T) {
	r := newRig(t, withTLS)
	r.serve(t, page)
	serial := func() string {
		return r.want(t, "https", clientRequest{}, http.StatusOK).TLS.PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	cert, key := r.ca.Sign(t, "127.0.0.1")
	testcert.WriteFile(t, r.file("cert.pem"), cert)
	for range 3 {
		if serial() != first {
			t.Error("half of a new pair is used")
		}
	}
	if got := r.log.count("the ones before stay in use"); got != 1 {
		t.Errorf("logged %d times: %s", got, r.log.String())
	}
	testcert.WriteFile(t, r.file("key.pem"), key)
	if serial() == first {
		t.Error("the new pair isn't used")
	}
	if got := r.log.count("are used again"); got != 1 {
		t.Errorf("logged %d times: %s", got, r.log.String())
	}
}

// A certificate that clients refuse is logged once at the start, and once for each new one.
func TestCertificatesThatClientsRefuseAreLogged(t *testing.T) {
	r := newRig(t, withTLS)
	r.ca.Write(t, r.file("cert.pem"), r.file("key.pem"))
	r.serve(t, page)
	warned := func(want int) {
		t.Helper()
		for range 3 {
			if _, _, err := r.get(t, "https", clientRequest{}); err == nil {
				t.Error("a certificate without names is taken")
			}
		}
		if got := r.log.count("no subjectAltName"); got != want || r.log.count("certificate="+r.file("cert.pem")) != want {
			t.Errorf("logged %d times, want %d: %s", got, want, r.log.String())
		}
	}
	warned(1)
	r.ca.Write(t, r.file("cert.pem"), r.file("key.pem"))
	warned(2)
	r.ca.Write(t, r.file("cert.pem"), r.file("key.pem"), "127.0.0.1")
	r.want(t, "https", clientRequest{}, http.StatusOK)
	if r.log.count("level=WARN") != 2 {
		t.Errorf("log: %s", r.log.String())
	}
}
