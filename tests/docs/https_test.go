package docs_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/simgrafana"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// httpsPage follows docs/https.md: three machines, of which each has a folder in place of /etc/stackscope.
type httpsPage struct {
	*guide
	server, worker *programs.Program
	tlsPort        int
	own            *server
	etc            map[string]string // by machine
	replace        map[string]*strings.Replacer
}

const workerAddress = "127.0.0.2" // for 192.0.2.17; the server's is 127.0.0.1

// TestHTTPSPage follows the page, and then does what it warns of.
func TestHTTPSPage(t *testing.T) {
	needPrograms(t)
	p := &httpsPage{guide: newPlainGuide(t, page("https.md"), simgrafana.Home(t)), tlsPort: programs.FreePort(t), etc: map[string]string{}, replace: map[string]*strings.Replacer{}}
	p.own = p.newServer()
	for _, machine := range []string{"admin", "server", "worker"} {
		p.etc[machine] = t.TempDir()
		host := "localhost:" + strconv.Itoa(p.tlsPort)
		p.replace[machine] = strings.NewReplacer(
			"https://obs.example.com:10161", "https://localhost:"+strconv.Itoa(p.own.metrics), "DNS:obs.example.com", "DNS:localhost",
			"obs.example.com:443", host, "https://obs.example.com", "https://"+host, "192.0.2.10", "127.0.0.1",
			"192.0.2.17:10151", workerAddress+":"+strconv.Itoa(p.own.worker), "192.0.2.17", workerAddress, "/etc/stackscope", p.etc[machine])
	}
	blocks, err := readPage(p.path)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for i := range blocks {
		b := &blocks[i]
		if !b.given {
			if b.runs() && !strings.Contains(b.text, "--host 127.0.0.1") { // the server behind a proxy
				t.Errorf("%s:%d: nothing says how this block is tried", p.path, b.line)
			}
			continue
		}
		tried++
		if err := p.try(t, b); err != nil {
			t.Fatalf("%s:%d: %v", p.path, b.line, err)
		}
	}
	if tried < 15 {
		t.Errorf("%d blocks were tried", tried)
	}
	p.renewed(t)
	p.nothingInClear(t)
	p.wrongAuthorities(t)
	p.expired(t)
}

// try runs a block on its machine.
func (p *httpsPage) try(t *testing.T, b *block) error {
	t.Helper()
	switch {
	case b.language == "yaml":
		return p.checkScrapeConfig(t, b)
	case b.start == "server":
		p.server = p.run(t, "server", b.text, append(p.own.env(), "GPUSTACK_TLS_PORT="+strconv.Itoa(p.tlsPort), "GPUSTACK_DISABLE_BUILTIN_GRAFANA=true"))
		programs.Eventually(t, 60*time.Second, "the server is ready", func() error { _, err := p.get("/readyz", "ca.pem"); return err })
		token, err := os.ReadFile(filepath.Join(p.own.dir, "worker-token"))
		if err != nil {
			return err
		}
		testcert.WriteFile(t, filepath.Join(p.dir, "worker-token"), token)
		for _, want := range b.expect {
			if !strings.Contains(p.server.Output(), want) {
				return fmt.Errorf("it doesn't print %q but %s", want, p.server.Output())
			}
		}
		return nil
	case b.start == "worker":
		p.worker = p.run(t, "worker", b.text, p.workerEnv(t, "gpu-7"))
		return nil
	}
	replace := p.replace[b.on]
	if replace == nil {
		return fmt.Errorf("on=%s is none of the machines", b.on)
	}
	c := *b
	c.expect = nil
	for _, want := range b.expect {
		c.expect = append(c.expect, replace.Replace(want))
	}
	limit := 30 * time.Second
	for begin := time.Now(); ; time.Sleep(300 * time.Millisecond) {
		err := p.once(t.Context(), &c, replace.Replace(b.text), p.env, limit)
		if err == nil || !b.retry || time.Since(begin) > limit {
			return err
		}
	}
}

func (p *httpsPage) workerEnv(t *testing.T, name string) []string {
	t.Helper()
	return []string{
		"GPUSTACK_WORKER_NAME=" + name, "GPUSTACK_WORKER_METRICS_HOST=" + workerAddress, "GPUSTACK_WORKER_METRICS_PORT=" + strconv.Itoa(p.own.worker),
		"GPUSTACK_WORKER_IP=" + workerAddress, "GPUSTACK_DATA_DIR=" + t.TempDir(), "GPUSTACK_DISCOVER=none", "GPUSTACK_GPU_VENDORS=none",
	}
}

func (p *httpsPage) run(t *testing.T, machine, text string, env []string) *programs.Program {
	t.Helper()
	return start(t, p.dir, append(append([]string{}, p.env...), env...), "bash", "-euo", "pipefail", "-c", p.replace[machine].Replace(text))
}

// client trusts the authorities in a file of the guide's folder.
func (p *httpsPage) client(ca string) (*http.Client, error) {
	text, err := os.ReadFile(filepath.Join(p.dir, ca))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}, nil
}

func (p *httpsPage) get(path, ca string) (string, error) {
	c, err := p.client(ca)
	if err != nil {
		return "", err
	}
	resp, err := c.Get("https://localhost:" + strconv.Itoa(p.tlsPort) + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// addresses are the three ports and the file with the certificate of each.
func (p *httpsPage) addresses() map[string]string {
	return map[string]string{
		"localhost:" + strconv.Itoa(p.tlsPort):           filepath.Join(p.etc["server"], "tls", "server.pem"),
		"localhost:" + strconv.Itoa(p.own.metrics):       filepath.Join(p.etc["server"], "tls", "server.pem"),
		workerAddress + ":" + strconv.Itoa(p.own.worker): filepath.Join(p.etc["worker"], "tls", "gpu-7.pem"),
	}
}

// renewed: the certificates that the page made last are those that all ports show, and nothing was restarted.
func (p *httpsPage) renewed(t *testing.T) {
	t.Helper()
	for address, file := range p.addresses() {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := pem.Decode(text)
		programs.Eventually(t, 15*time.Second, address+" shows the new certificate", func() error {
			c, err := p.client("ca.pem")
			if err != nil {
				return err
			}
			conn, err := tls.Dial("tcp", address, c.Transport.(*http.Transport).TLSClientConfig)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			if shown := conn.ConnectionState().PeerCertificates[0]; !bytes.Equal(shown.Raw, b.Bytes) {
				return fmt.Errorf("it shows number %s", shown.SerialNumber)
			}
			return nil
		})
	}
	if p.server.Ended() || p.worker.Ended() {
		t.Errorf("a program ended: %s %s", p.server.Output(), p.worker.Output())
	}
}

// nothingInClear: no port answers a request in clear text with data, and the one for that is not open.
func (p *httpsPage) nothingInClear(t *testing.T) {
	t.Helper()
	for address := range p.addresses() {
		for _, path := range []string{"/metrics", "/v2/workers", "/"} {
			if body, err := programs.Get("http://" + address + path); err == nil {
				t.Errorf("http://%s%s answers %.100s", address, path, body)
			}
		}
	}
	if conn, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(p.own.port), time.Second); err == nil {
		_ = conn.Close()
		t.Error("the port of clear text is open")
	}
}

// wrongAuthorities: each hop refuses an authority that is not its own, and says what to do.
func (p *httpsPage) wrongAuthorities(t *testing.T) {
	t.Helper()
	testcert.WriteFile(t, filepath.Join(p.dir, "other.pem"), testcert.NewAuthority(t, "other").PEM)
	url := "https://localhost:" + strconv.Itoa(p.tlsPort)
	p.fails(t, "stackscope status --server-url "+url+" --ca-file other.pem", "is signed by none of the authorities in --ca-file other.pem", "put the certificate of the one that signed it into that file")
	p.fails(t, "stackscope status --server-url http://localhost:"+strconv.Itoa(p.tlsPort)+" --ca-file ca.pem", "the server there speaks TLS", "use https:// in the URL")
	p.fails(t, "stackscope status --server-url https://"+workerAddress+":"+strconv.Itoa(p.tlsPort)+" --ca-file ca.pem", "") // nothing listens there
	stray := p.run(t, "worker", "stackscope-worker --server-url "+url+" --ca-file other.pem --token-file worker-token", append(p.workerEnv(t, "stray"), "GPUSTACK_WORKER_METRICS_PORT="+strconv.Itoa(programs.FreePort(t))))
	programs.Eventually(t, 15*time.Second, "a worker with another authority says so", func() error {
		if !strings.Contains(stray.Output(), "is signed by none of the authorities in --ca-file other.pem") {
			return fmt.Errorf("it printed %s", stray.Output())
		}
		return nil
	})
	ca, err := os.ReadFile(filepath.Join(p.dir, "other.pem"))
	if err != nil {
		t.Fatal(err)
	}
	testcert.WriteFile(t, filepath.Join(p.etc["server"], "tls", "ca.pem"), ca)
	p.finds(t, "scrape_tls", "its certificate is signed by a CA that this server does not trust: set tls_config.ca_file to its CA in --builtin-prometheus-http-config-file")
}

// fails runs a command that ends with an error and prints parts.
func (p *httpsPage) fails(t *testing.T, command string, parts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir, cmd.Env = p.dir, p.env
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("%s succeeds: %s", command, out)
	}
	for _, part := range parts {
		if !strings.Contains(string(out), part) {
			t.Errorf("%s does not print %q but %s", command, part, out)
		}
	}
}

// finds waits until the doctor has a finding.
func (p *httpsPage) finds(t *testing.T, id, seen string) {
	t.Helper()
	programs.Eventually(t, 40*time.Second, "the doctor finds "+id, func() error {
		body, err := p.get("/v2/doctor?worker=gpu-7", "ca.pem")
		if err != nil {
			return err
		}
		var d wire.Doctor
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			return err
		}
		for _, f := range d.Findings {
			if f.ID == id && strings.Contains(f.Seen, seen) {
				return nil
			}
		}
		return fmt.Errorf("it finds %s", body)
	})
}

// expired: the doctor and the log name an expired certificate, commands too, and a new one ends that without a restart.
func (p *httpsPage) expired(t *testing.T) {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(p.dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	workerTLS, serverTLS := filepath.Join(p.etc["worker"], "tls"), filepath.Join(p.etc["server"], "tls")
	good := map[string][]byte{}
	for _, file := range []string{filepath.Join(workerTLS, "gpu-7.pem"), filepath.Join(workerTLS, "gpu-7-key.pem"), filepath.Join(serverTLS, "server.pem"), filepath.Join(serverTLS, "server-key.pem")} {
		if good[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	p.writeExpired(t, filepath.Join(workerTLS, "gpu-7.pem"), filepath.Join(workerTLS, "gpu-7-key.pem"))
	time.Sleep(2 * time.Second)                                   // it is read again within a second
	testcert.WriteFile(t, filepath.Join(serverTLS, "ca.pem"), ca) // with it Prometheus opens new connections
	p.finds(t, "scrape_certificate_expired", "its certificate has expired, or is not valid yet")
	if out := p.worker.Output(); !strings.Contains(out, "certificate has expired: clients refuse it") {
		t.Errorf("the worker's log says nothing: %s", out)
	}
	p.writeExpired(t, filepath.Join(serverTLS, "server.pem"), filepath.Join(serverTLS, "server-key.pem"))
	command := "stackscope status --server-url https://localhost:" + strconv.Itoa(p.tlsPort) + " --ca-file ca.pem"
	programs.Eventually(t, 15*time.Second, "the server shows the expired certificate", func() error {
		if _, err := p.get("/healthz", "ca.pem"); err == nil {
			return fmt.Errorf("it does not yet")
		}
		return nil
	})
	p.fails(t, command, "the server's TLS certificate is not valid", "expired", "renew the certificate, or check both clocks")
	for file, text := range good {
		testcert.WriteFile(t, file, text)
	}
	for i := range 2 {
		testcert.WriteFile(t, filepath.Join(serverTLS, "ca.pem"), append(ca, strings.Repeat("\n", i+1)...))
	}
	programs.Eventually(t, 40*time.Second, "all is well with the new certificates", func() error {
		body, err := p.get("/prometheus/api/v1/query?query=up", "ca.pem")
		if err == nil && (!strings.Contains(body, workerAddress) || strings.Contains(body, `,"0"]`)) {
			err = fmt.Errorf("up is %s", body)
		}
		return err
	})
	if p.server.Ended() || p.worker.Ended() {
		t.Errorf("a program ended: %s %s", p.server.Output(), p.worker.Output())
	}
}

// writeExpired makes a certificate by the page's authority that expired an hour ago.
func (p *httpsPage) writeExpired(t *testing.T, certFile, keyFile string) {
	t.Helper()
	authority, err := tls.LoadX509KeyPair(filepath.Join(p.dir, "ca.pem"), filepath.Join(p.dir, "ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(workerAddress)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, &key.PublicKey, authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	testcert.WriteFile(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	testcert.WriteFile(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
