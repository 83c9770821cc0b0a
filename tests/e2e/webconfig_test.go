package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// web is a directory with a web configuration file, and what it and its clients need.
type web struct {
	dir      string
	ca       *testcert.Authority
	password string
}

func (w *web) file(name string) string { return filepath.Join(w.dir, name) }

func (w *web) write(t *testing.T, name, text string) {
	t.Helper()
	testcert.WriteFile(t, w.file(name), []byte(text))
}

// newWeb makes one with TLS, a user and what more is given; names are the certificate's.
func newWeb(t *testing.T, more string, names ...string) *web {
	t.Helper()
	w := &web{dir: t.TempDir(), ca: testcert.NewAuthority(t, "private"), password: "a-password"}
	hash, err := bcrypt.GenerateFromPassword([]byte(w.password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	w.ca.Write(t, w.file("cert.pem"), w.file("key.pem"), names...)
	w.write(t, "ca.pem", string(w.ca.PEM))
	w.write(t, "password", w.password)
	w.write(t, "web.yml", fmt.Sprintf("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n%sbasic_auth_users:\n  prometheus: %q\n", more, hash))
	w.write(t, "http.yml", "basic_auth:\n  username: prometheus\n  password_file: password\ntls_config:\n  ca_file: ca.pem\n")
	return w
}

// get asks over a connection of its own; it returns the status and the serial number of the certificate.
func (w *web) get(url, password string) (status int, body, serial string, err error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.ca.Pool(), MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", "", err
	}
	if password != "" {
		req.SetBasicAuth("prometheus", password)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", "", err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if resp.TLS != nil {
		serial = resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	return resp.StatusCode, string(page), serial, err
}

// up waits until a Prometheus has exactly the targets, and all of them are up. ask returns the answer to its query.
func up(t *testing.T, who string, ask func() (string, error), targets ...string) {
	t.Helper()
	programs.Eventually(t, 60*time.Second, who+" has its targets up", func() error {
		body, err := ask()
		if err != nil {
			return err
		}
		var answer struct {
			Data struct {
				Result []series `json:"result"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			return fmt.Errorf("%w: %.200s", err, body)
		}
		is := map[string]bool{}
		for _, s := range answer.Data.Result {
			is[s.Metric["job"]+" "+s.Metric["instance"]] = s.Value[1] == "1"
		}
		for _, target := range targets {
			if !is[target] {
				return fmt.Errorf("%s is not up: %s", target, body)
			}
		}
		if len(is) != len(targets) {
			return fmt.Errorf("%d targets, want %d: %s", len(is), len(targets), body)
		}
		return nil
	})
}

// One file protects all ports beside the API's. Everything of ours, and a Prometheus of its own, goes on.
func TestWebConfig(t *testing.T) {
	dir := prometheusDir(t)
	// The certificate is for the second worker's and the server's address, and not for the one under which the first worker is scraped.
	w := newWeb(t, "", "127.0.0.1")
	data := t.TempDir()
	api, metrics, workerPort, promPort, otherPort := programs.FreePort(t), programs.FreePort(t), programs.FreePort(t), programs.FreePort(t), programs.FreePort(t)
	server := start(t, programs.Path(t, "stackscope"), "start", "--data-dir", data, "--host", "127.0.0.1", "--port", strconv.Itoa(api),
		"--metrics-port", strconv.Itoa(metrics), "--worker-metrics-port", strconv.Itoa(workerPort), "--worker-ip", "127.0.0.2",
		"--builtin-prometheus-port", strconv.Itoa(promPort), "--disable-anonymous-viewer", "--discover", "none",
		"--web.config.file", w.file("web.yml"), "--builtin-prometheus-http-config-file", w.file("http.yml"))
	embedded := fmt.Sprintf("https://127.0.0.1:%d/prometheus/api/v1/query?query=up", promPort)
	ask := func() (string, error) {
		_, body, _, err := w.get(embedded, w.password)
		return body, err
	}
	serverTarget := fmt.Sprintf("gpustack-server 127.0.0.1:%d", metrics)
	ownTarget := fmt.Sprintf("gpustack-worker-discovery 127.0.0.2:%d", workerPort)
	otherTarget := fmt.Sprintf("gpustack-worker-discovery 127.0.0.1:%d", otherPort)
	up(t, "the embedded Prometheus", ask, serverTarget, ownTarget)

	worker := start(t, programs.Path(t, "stackscope-worker"), "--data-dir", t.TempDir(), "--server-url", fmt.Sprintf("http://127.0.0.1:%d", api),
		"--token-file", filepath.Join(data, "worker-token"), "--worker-name", "other", "--worker-ip", "127.0.0.1", "--worker-metrics-host", "127.0.0.1",
		"--worker-metrics-port", strconv.Itoa(otherPort), "--discover", "none", "--web.config.file", w.file("web.yml"))
	up(t, "the embedded Prometheus", ask, serverTarget, ownTarget, otherTarget)

	pages := []string{
		fmt.Sprintf("https://127.0.0.1:%d/metrics", metrics), fmt.Sprintf("https://127.0.0.1:%d/metrics/targets", metrics),
		fmt.Sprintf("https://127.0.0.1:%d/metrics", workerPort), fmt.Sprintf("https://127.0.0.1:%d/metrics/raw", otherPort),
		fmt.Sprintf("https://127.0.0.1:%d/", otherPort), embedded,
	}
	for _, page := range pages {
		for password, want := range map[string]int{"": 401, "wrong": 401, w.password: 200} {
			if status, body, _, err := w.get(page, password); status != want {
				t.Errorf("%s with the password %q: %d, want %d: %v %.100s", page, password, status, want, err, body)
			}
		}
		if _, err := programs.Get(strings.Replace(page, "https", "http", 1)); err == nil {
			t.Errorf("%s answers in clear", page)
		}
	}
	for _, port := range []int{workerPort, otherPort} {
		if status, _, _, err := w.get(fmt.Sprintf("https://127.0.0.1:%d/healthz", port), ""); status != 200 {
			t.Errorf("/healthz: %d, %v", status, err)
		}
	}
	for _, private := range []string{w.dir, w.password} {
		if _, body, _, _ := w.get(strings.Replace(embedded, "query?query=up", "status/config", 1), w.password); strings.Contains(body, private) {
			t.Errorf("the configuration that is shown has %q", private)
		}
	}
	if out, err := healthcheck(t, worker); err != nil {
		t.Errorf("the worker's check: %v: %s", err, out)
	}
	if out, err := healthcheck(t, server); err != nil {
		t.Errorf("the server's check: %v: %s", err, out)
	}
	outsidePrometheus(t, dir, w, metrics, serverTarget, otherTarget)

	// A new certificate is taken up by all.
	_, _, before, err := w.get(pages[0], w.password)
	if err != nil {
		t.Fatal(err)
	}
	w.ca.Write(t, w.file("cert.pem"), w.file("key.pem"), "127.0.0.1")
	for _, page := range pages {
		if _, _, serial, err := w.get(page, w.password); err != nil || serial == before {
			t.Errorf("%s shows certificate %s, before %s: %v", page, serial, before, err)
		}
	}
	// A file that is no longer one refuses, and it is mended without a restart.
	whole, err := os.ReadFile(w.file("web.yml"))
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "web.yml", "")
	for _, page := range pages {
		if status, _, _, err := w.get(page, ""); status != 503 {
			t.Errorf("%s with an empty file: %d, %v", page, status, err)
		}
	}
	w.write(t, "web.yml", string(whole))
	up(t, "the embedded Prometheus", ask, serverTarget, ownTarget, otherTarget)
	if got := strings.Count(worker.Output(), "requests are refused until it is fixed"); got != 1 {
		t.Errorf("the worker logged it %d times", got)
	}
	for _, p := range []*programs.Program{worker, server} {
		if took := p.Stop(syscall.SIGTERM); p.Err() != nil {
			t.Errorf("%q ended after %s: %v", p.Args(), took, p.Err())
		}
	}
}

// outsidePrometheus runs a Prometheus of its own, with the configuration of docs/hardening.md.
func outsidePrometheus(t *testing.T, dir string, w *web, metrics int, targets ...string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "hardening.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "```yaml\nscrape_configs:")
	text, _, ends := strings.Cut(text, "```")
	if !ok || !ends {
		t.Fatal("docs/hardening.md has no scrape_configs")
	}
	text = "scrape_configs:" + strings.NewReplacer("SERVER:10161", fmt.Sprintf("127.0.0.1:%d", metrics), "/etc/prometheus/", w.dir+"/").Replace(text)
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", programs.FreePort(t))
	start(t, filepath.Join(dir, "prometheus"), "--config.file", config, "--storage.tsdb.path", t.TempDir(),
		"--web.listen-address", strings.TrimPrefix(base, "http://"))
	// The certificate is not for the first worker's address.
	up(t, "the outside Prometheus", func() (string, error) {
		return programs.Get(base + "/api/v1/query?query=" + urlEscape(`up{instance!~"127.0.0.2:.*"}`))
	}, targets...)
}

// The API's certificate and the authority's file of its clients are taken up without a restart.
func TestPrivateServer(t *testing.T) {
	w := newWeb(t, "", "127.0.0.1")
	data, port := t.TempDir(), programs.FreePort(t)
	server := start(t, programs.Path(t, "stackscope"), "server", "--data-dir", data, "--host", "127.0.0.1", "--tls-port", strconv.Itoa(port),
		"--metrics-port", strconv.Itoa(programs.FreePort(t)), "--tls-cert", w.file("cert.pem"), "--tls-key", w.file("key.pem"))
	url := fmt.Sprintf("https://127.0.0.1:%d", port)
	var serial string
	programs.Eventually(t, 30*time.Second, "the API answers", func() (err error) {
		_, _, serial, err = w.get(url+"/healthz", "")
		return err
	})
	if out, err := healthcheck(t, server); err != nil {
		t.Errorf("the server's check: %v: %s", err, out)
	}
	status := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), programs.Path(t, "stackscope"), append([]string{"status", "--server-url", url}, args...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := status(); err == nil || !strings.Contains(out, "--ca-file") {
		t.Errorf("without --ca-file: %v: %s", err, out)
	}
	if out, err := status("--ca-file", w.file("ca.pem")); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	worker := start(t, programs.Path(t, "stackscope-worker"), "--data-dir", t.TempDir(), "--server-url", url, "--token-file", filepath.Join(data, "worker-token"),
		"--ca-file", w.file("ca.pem"), "--worker-ip", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(programs.FreePort(t)), "--discover", "none")
	programs.Eventually(t, 20*time.Second, "the worker joins", func() error {
		if !strings.Contains(worker.Output(), "worker is registered") {
			return fmt.Errorf("not yet")
		}
		return nil
	})

	// Half of a new pair keeps the one before, and the log says so once.
	next := testcert.NewAuthority(t, "next")
	cert, key := next.Sign(t, "127.0.0.1")
	testcert.WriteFile(t, w.file("cert.pem"), cert)
	programs.Eventually(t, 20*time.Second, "it is logged", func() error {
		if _, _, now, err := w.get(url+"/healthz", ""); err != nil || now != serial {
			t.Fatalf("another certificate, or none: %v", err)
		}
		if got := strings.Count(server.Output(), "the ones before stay in use"); got != 1 {
			return fmt.Errorf("%d times", got)
		}
		return nil
	})
	testcert.WriteFile(t, w.file("key.pem"), key)
	testcert.WriteFile(t, w.file("ca.pem"), next.PEM)
	w.ca = next
	programs.Eventually(t, 20*time.Second, "the new certificate is used", func() error {
		_, _, now, err := w.get(url+"/healthz", "")
		if err == nil && now == serial {
			return fmt.Errorf("it is the one before")
		}
		return err
	})
	server.Stop(syscall.SIGTERM)
	restarted := time.Now()
	start(t, programs.Path(t, "stackscope"), server.Args()...)
	programs.Eventually(t, 60*time.Second, "the worker is back", func() error {
		out, err := status("--ca-file", w.file("ca.pem"), "--json")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		var inventory struct {
			Workers []wire.Worker `json:"workers"`
		}
		if err := json.Unmarshal([]byte(out), &inventory); err != nil || len(inventory.Workers) != 1 {
			return fmt.Errorf("%w: %s", err, out)
		}
		if last := inventory.Workers[0].LastReportAt; last == nil || last.Before(restarted) {
			return fmt.Errorf("its last report is of %v", last)
		}
		if !strings.Contains(worker.Output(), "file of authorities is read again") {
			return fmt.Errorf("the worker did not read the authorities again")
		}
		return nil
	})
}

// Who shuts anonymous viewers out is told what that leaves open.
func TestOpenMetricsPortsAreTold(t *testing.T) {
	w := newWeb(t, "", "127.0.0.1")
	const warning = "leaves the metrics ports open"
	for _, tt := range []struct {
		args []string
		want int
	}{
		{nil, 0},
		{[]string{"--disable-anonymous-viewer"}, 1},
		{[]string{"--disable-anonymous-viewer", "--web.config.file", w.file("web.yml")}, 0},
	} {
		p := start(t, programs.Path(t, "stackscope"), append([]string{
			"server", "--data-dir", t.TempDir(), "--host", "127.0.0.1", "--port", strconv.Itoa(programs.FreePort(t)), "--metrics-port", strconv.Itoa(programs.FreePort(t)),
		}, tt.args...)...)
		programs.Eventually(t, 30*time.Second, "the server listens", func() error {
			if !strings.Contains(p.Output(), "msg=listening") {
				return fmt.Errorf("not yet")
			}
			return nil
		})
		if got := strings.Count(p.Output(), warning); got != tt.want {
			t.Errorf("%v: warned %d times, want %d", tt.args, got, tt.want)
		}
		p.Stop(syscall.SIGTERM)
	}
}
