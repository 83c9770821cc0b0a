package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/server"
	"github.com/stackscope/stackscope/internal/wire"
)

func TestServerShowsAWorker(t *testing.T) {
	s := start(t, options(t))
	eventually(t, hangTimeout, "ready", func() bool { status, _, _ := get(t, s.URL()+"/readyz"); return status == 200 })
	if _, _, body := get(t, s.metricsURL()+"/metrics/targets"); body != "[]" {
		t.Errorf("targets at first: %s", body)
	}
	c, joined := s.join(t, "worker-1")
	ids, err := c.Report(t.Context(), joined.WorkerID, wire.ReportRequest{Instances: []wire.InstanceReport{
		{Name: "qwen-0", Model: "qwen", Runtime: "vLLM", RuntimeVersion: "0.11.0", State: fleet.InstanceRunning},
	}})
	if err != nil || len(ids.Instances) != 1 || ids.Instances[0].ModelID == 0 {
		t.Fatalf("%+v, %v", ids, err)
	}
	const want = `[{"targets":["127.0.0.1:10151"],"labels":{"__param_cluster_labels":"target","cluster_id":"1","cluster_name":"default"}}]`
	if _, _, body := get(t, s.metricsURL()+"/metrics/targets"); body != want {
		t.Errorf("targets: %s", body)
	}
	if _, _, body := get(t, s.metricsURL()+"/metrics/proxy-targets"); body != "[]" {
		t.Errorf("proxy targets: %s", body)
	}
	for _, path := range []string{"/metrics", "/metrics/"} {
		status, header, page := send(t, "GET", s.metricsURL()+path, nil, "Accept-Encoding", "identity")
		if status != 200 || header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" || header.Get("Content-Length") == "" {
			t.Fatalf("%s: %d %v", path, status, header)
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(page + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{
			"gpustack:cluster_info", "gpustack:cluster_status", "gpustack:worker_info", "gpustack:worker_status", "gpustack:model_info",
			"gpustack:model_desired_instances", "gpustack:model_running_instances", "gpustack:model_instance_status",
			"gpustack:bus_subscribers", "gpustack:bus_events_total", "gpustack:metrics_config_generation",
			"stackscope_build_info", "go_goroutines", "process_resident_memory_bytes",
		} {
			if families[name] == nil {
				t.Errorf("%s lacks %s", path, name)
			}
		}
	}
}

func TestPagesBesideTheAPI(t *testing.T) {
	s := start(t, options(t))
	for path, want := range map[string]string{
		"/prometheus":       "--disable-builtin-observability",
		"/prometheus/":      "--disable-builtin-observability",
		"/prometheus/graph": "--disable-builtin-observability",
		"/grafana/":         "--disable-builtin-observability",
	} {
		if status, header, body := get(t, s.URL()+path); status != 404 || !strings.Contains(body, want) || !strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, body := get(t, s.URL()+"/"); status != 200 || !strings.Contains(body, "<!doctype html>") {
		t.Errorf("/: %d %s", status, body)
	}
}

func TestPageCountsConnections(t *testing.T) {
	s := start(t, options(t))
	_, _, page := get(t, s.metricsURL()+"/metrics")
	for _, want := range []string{
		`stackscope_connections{listener="api"} `, `stackscope_connections{listener="metrics"} 1`, `stackscope_connections_max{listener="api"} `,
		`stackscope_connections_closed_total{listener="api",reason="evicted"} 0`, `stackscope_connections_closed_total{listener="metrics",reason="refused"} 0`,
	} {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
}

func TestEmbeddedPrometheusGetsItsTargets(t *testing.T) {
	o := options(t)
	o.DisableBuiltinObservability = false
	s := start(t, o)
	s.join(t, "worker-1")
	type active struct {
		ScrapePool string `json:"scrapePool"`
		ScrapeURL  string `json:"scrapeUrl"`
		Labels     map[string]string
	}
	var got map[string]active
	eventually(t, 20*time.Second, "both jobs have targets", func() bool {
		var answer struct {
			Data struct {
				ActiveTargets []active `json:"activeTargets"`
			}
		}
		_, _, body := get(t, s.URL()+"/prometheus/api/v1/targets?state=active")
		if json.Unmarshal([]byte(body), &answer) != nil {
			return false
		}
		got = map[string]active{}
		for _, a := range answer.Data.ActiveTargets {
			got[a.ScrapePool] = a
		}
		return len(got) == 2
	})
	if a := got["gpustack-server"]; a.ScrapeURL != s.metricsURL()+"/metrics" {
		t.Errorf("%+v", a)
	}
	if a := got["gpustack-worker-discovery"]; a.ScrapeURL != "http://127.0.0.1:10151/metrics?cluster_labels=target" || a.Labels["cluster_name"] != "default" {
		t.Errorf("%+v", a)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	again := start(t, o) // the data directory is free again
	if err := again.stop(); err != nil {
		t.Error(err)
	}
}

func TestAnonymousViewerShutOut(t *testing.T) {
	o := options(t)
	o.DisableAnonymousViewer, o.NoTrustLoopback = true, true
	s := start(t, o)
	for _, path := range []string{"/v2/metrics/config", "/prometheus/", "/openapi.json", "/console/settings", "/console/dashboards", "/v2/watch"} {
		if status, header, _ := get(t, s.URL()+path); status != 401 || len(header["Www-Authenticate"]) != 2 {
			t.Errorf("%s: %d %v", path, status, header)
		}
	}
	if _, err := s.admin(t).GetConfig(t.Context()); err != nil {
		t.Error(err)
	}
	_, err := newClient(t, s.URL(), "wrong-wrong-wrong").SetConfig(t.Context(), []byte(custom), client.Change{IfGeneration: client.AnyGeneration})
	if err == nil || !strings.Contains(err.Error(), "DATA_DIR/admin-token") || strings.Contains(err.Error(), o.DataDir) {
		t.Errorf("wrong token: %v", err)
	}
}

func TestTokens(t *testing.T) {
	o := options(t)
	s := start(t, o)
	var texts []string
	for _, name := range []string{"admin-token", "worker-token"} {
		path := filepath.Join(o.DataDir, name)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
		data, err := os.ReadFile(path)
		if err != nil || len(strings.TrimSpace(string(data))) < 26 {
			t.Errorf("%s: %q", name, data)
		}
		texts = append(texts, strings.TrimSpace(string(data)))
	}
	if texts[0] == texts[1] || texts[1] != s.WorkerToken() {
		t.Errorf("tokens %q, WorkerToken %q", texts, s.WorkerToken())
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{"short\n": "at least 16", "two words that are long\n": "one word", strings.Repeat("x", 5000): "larger than"} {
		if err := os.WriteFile(filepath.Join(o.DataDir, "worker-token"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := server.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "worker-token") {
			t.Errorf("%.20q: %v", content, err)
		}
	}
	admin, err := os.ReadFile(filepath.Join(o.DataDir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.DataDir, "worker-token"), admin, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "same token") || !strings.Contains(err.Error(), o.DataDir) {
		t.Errorf("the same token for both: %v", err)
	}
	const own = "a-token-of-the-operators-own"
	if err := os.WriteFile(filepath.Join(o.DataDir, "worker-token"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := start(t, o); s.WorkerToken() != own {
		t.Errorf("WorkerToken %q", s.WorkerToken())
	}
}

// takenPort returns a port that something else listens on.
func takenPort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

func TestNewFailsInOneLineAndLeavesNothing(t *testing.T) {
	taken := takenPort(t)
	for _, tt := range []struct {
		name   string
		change func(*server.Options)
		want   []string
	}{
		{"API port taken", func(o *server.Options) { o.Port = taken }, []string{strconv.Itoa(taken), "taken", "--port"}},
		{"metrics port taken", func(o *server.Options) { o.MetricsPort = taken }, []string{strconv.Itoa(taken), "--metrics-port"}},
		{"same ports", func(o *server.Options) { o.Port, o.MetricsPort = 9999, 9999 }, []string{"--port", "--metrics-port", "9999"}},
		{"bad port", func(o *server.Options) { o.Port = 70000 }, []string{"--port 70000"}},
		{"no data dir", func(o *server.Options) { o.DataDir = "" }, []string{"--data-dir"}},
		{"data dir is a file", func(o *server.Options) {
			o.DataDir = filepath.Join(o.DataDir, "file")
			if err := os.WriteFile(o.DataDir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"--data-dir"}},
		{"certificate alone", func(o *server.Options) { o.TLSCert = "x.pem" }, []string{"--tls-key"}},
		{"no certificate there", func(o *server.Options) { o.TLSCert, o.TLSKey = "x.pem", "y.pem" }, []string{"--tls-cert x.pem", "no such file"}},
		{"TLS port taken", func(o *server.Options) {
			cert, _ := selfSigned(t)
			o.TLSCert, o.TLSKey, o.TLSPort = filepath.Join(o.DataDir, "cert.pem"), filepath.Join(o.DataDir, "key.pem"), taken
			for path, text := range map[string][]byte{o.TLSCert: cert[0], o.TLSKey: cert[1]} {
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{strconv.Itoa(taken), "--tls-port", "--port is not opened"}},
		{"external URL", func(o *server.Options) { o.ServerExternalURL = "gpu-head" }, []string{"--server-external-url", "gpu-head"}},
		{"retention", func(o *server.Options) { o.RetentionTime = 0 }, []string{"retention"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t)
			good := o
			tt.change(&o)
			s, err := server.New(t.Context(), o)
			if err == nil {
				_ = s.Close()
				t.Fatal("New succeeded")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("lacks %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
			good.MetricsPort = 0
			if after, err := server.New(t.Context(), good); err != nil {
				t.Errorf("afterwards: %v", err)
			} else if err := after.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTwoServersOnOneDataDir(t *testing.T) {
	o := options(t)
	start(t, o)
	_, err := server.New(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), o.DataDir) || !strings.Contains(err.Error(), "--data-dir") || strings.Contains(err.Error(), "\n") {
		t.Errorf("second server: %v", err)
	}
}

func TestStopDoesNotWaitForWatchersOrSlowClients(t *testing.T) {
	s := start(t, options(t))
	c, joined := s.join(t, "worker")
	ended := make(chan error, 1)
	go func() {
		ended <- c.Watch(context.WithoutCancel(t.Context()), joined.WorkerID, 0, client.Events{Mapping: func(wire.MappingEvent) error { return nil }})
	}()
	admin := s.admin(t)
	eventually(t, hangTimeout, "watching", func() bool {
		st, err := admin.ResetConfig(t.Context(), client.Change{IfGeneration: client.AnyGeneration})
		return err == nil && st.Workers == 1
	})
	slow, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if _, err := slow.Write([]byte("POST /v2/metrics/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	if err := s.stop(); err != nil { // fails the test when something uses StopTimeout up
		t.Error(err)
	}
	select {
	case err := <-ended:
		if !strings.Contains(err.Error(), "ended the stream") {
			t.Errorf("the watcher was told %v", err)
		}
	case <-time.After(hangTimeout):
		t.Error("the watcher still waits")
	}
}

func TestTLS(t *testing.T) {
	o := options(t)
	cert, pool := selfSigned(t)
	o.TLSCert, o.TLSKey = filepath.Join(o.DataDir, "cert.pem"), filepath.Join(o.DataDir, "key.pem")
	if err := os.WriteFile(o.TLSCert, cert[0], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.TLSKey, cert[1], 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, o)
	if !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Errorf("URL %s", s.URL())
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	c, err := client.New(client.Options{BaseURL: s.URL(), Token: s.WorkerToken(), HTTPClient: &http.Client{Transport: tr}})
	if err != nil {
		t.Fatal(err)
	}
	joined, err := c.Register(t.Context(), wire.RegisterRequest{UUID: "u", Name: "n", Address: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	f := newFollower(t, "")
	follow(t, c.WithToken(joined.Credential), joined.WorkerID, f)
	token, err := os.ReadFile(s.AdminTokenPath())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WithToken(string(token)).SetConfig(t.Context(), []byte(custom), client.Change{IfGeneration: client.AnyGeneration}); err != nil {
		t.Fatal(err)
	}
	eventually(t, hangTimeout, "told over TLS", func() bool { return generationOf(f) == 1 })

	own, err := client.New(client.Options{BaseURL: s.URL(), HTTPClient: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.Version(t.Context()); err != nil {
		t.Errorf("the server's own client: %v", err)
	}
	other := httptest.NewTLSServer(http.NotFoundHandler())
	defer other.Close()
	if resp, err := s.Client().Get(other.URL); err == nil {
		resp.Body.Close()
		t.Error("the server's own client trusts another server")
	}

	if _, err := newClient(t, s.URL(), "").Version(t.Context()); err == nil || !strings.Contains(err.Error(), "trusted certificates") {
		t.Errorf("unknown authority: %v", err)
	}
	if _, err := newClient(t, strings.Replace(s.URL(), "https", "http", 1), "").Version(t.Context()); err == nil || !strings.Contains(err.Error(), "https://") {
		t.Errorf("plain HTTP: %v", err)
	}
}

// selfSigned returns a certificate and key for 127.0.0.1 as PEM, and the pool that trusts it.
func selfSigned(t *testing.T) ([2][]byte, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return [2][]byte{cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})}, pool
}
