package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/server"
	"github.com/stackscope/stackscope/internal/wire"
)

// options are those of a server on free loopback ports without Prometheus.
func options(t *testing.T) server.Options {
	t.Helper()
	o := server.DefaultOptions()
	o.DataDir = t.TempDir()
	o.Host, o.Port, o.TLSPort, o.MetricsPort = "127.0.0.1", 0, 0, 0
	o.DisableBuiltinObservability, o.Grafana.Disabled = true, true // also where a test has Prometheus
	o.StopTimeout = 20 * time.Second                               // nothing here may need it; a slow client is given 30
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return o
}

type running struct {
	*server.Server
	stop func() error // ends Run and returns its error, and fails the test if something uses StopTimeout up
}

func start(t *testing.T, o server.Options) running {
	t.Helper()
	s, err := server.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		began := time.Now()
		cancel()
		err := <-done
		if took := time.Since(began); took >= o.StopTimeout {
			t.Errorf("stopping took %s", took)
		}
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return running{s, stop}
}

func (r running) metricsURL() string { return "http://" + r.MetricsAddr() }

func (r running) admin(t *testing.T) *client.Client {
	t.Helper()
	token, err := os.ReadFile(r.AdminTokenPath())
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, r.URL(), string(token))
}

func newClient(t *testing.T, url, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{BaseURL: url, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// join registers a worker and returns a client with its credential.
func (r running) join(t *testing.T, name string) (*client.Client, wire.RegisterResponse) {
	t.Helper()
	c := newClient(t, r.URL(), r.WorkerToken())
	joined, err := c.Register(t.Context(), wire.RegisterRequest{UUID: "uuid-" + name, Name: name, Address: "127.0.0.1", MetricsPort: 10151, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return c.WithToken(joined.Credential), joined
}

// get returns an answer's status and body; it does not follow redirects.
func get(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	return send(t, "GET", url, nil)
}

func send(t *testing.T, method, url string, body []byte, headers ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	hc := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := hc.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, strings.TrimSpace(string(data))
}

// hangTimeout ends a wait for what never comes. Nothing takes as long, on the slowest machine.
const hangTimeout = 30 * time.Second

// eventually waits until ok returns true.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

const custom = `{"runtime_mapping":{"vLLM":{"<0.11.1":{"vllm:odd":"gpustack:num_requests_running"}}},"gpustack_metrics":{"gpustack:num_requests_running":{"type":"gauge","description":"Odd."}}}`
