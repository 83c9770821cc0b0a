package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/server"
	"github.com/stackscope/stackscope/internal/wire"
)

// fakeFleet is a real server in this process, and workers that say what a test wants.
type fakeFleet struct {
	t   *testing.T
	srv *server.Server
	url string // of the server, or of a proxy before it
}

func newFleet(t *testing.T) *fakeFleet {
	t.Helper()
	o := server.DefaultOptions()
	o.DataDir, o.Host, o.Port, o.TLSPort, o.MetricsPort = t.TempDir(), "127.0.0.1", 0, 0, 0
	o.DisableBuiltinObservability, o.Grafana.Disabled = true, true
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	srv, err := server.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return &fakeFleet{t, srv, srv.URL()}
}

// fakeWorker is what a worker says.
type fakeWorker struct {
	instances []wire.InstanceReport
	dryRun    func(wire.DryRunEvent) wire.DryRunResult
	pages     map[string]wire.InstancePage
	asked     func() // before a dry run is answered
}

// join adds a worker that is connected when join returns.
func (f *fakeFleet) join(name string, w fakeWorker) {
	f.t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(f.t.Context()))
	cl := f.client(f.srv.WorkerToken())
	joined, err := cl.Register(ctx, wire.RegisterRequest{UUID: "uuid-" + name, Name: name, Address: "127.0.0.1", MetricsPort: 10151, Version: "test"})
	if err != nil {
		f.t.Fatal(err)
	}
	cl = cl.WithToken(joined.Credential)
	if _, err := cl.Report(ctx, joined.WorkerID, wire.ReportRequest{Instances: w.instances}); err != nil {
		f.t.Fatal(err)
	}
	connected, ended := make(chan struct{}), make(chan struct{})
	first := true
	go func() {
		defer close(ended)
		_ = cl.Watch(ctx, joined.WorkerID, -1, client.Events{
			Mapping: func(wire.MappingEvent) error {
				if first {
					close(connected)
					first = false
				}
				return nil
			},
			DryRun: func(ev wire.DryRunEvent) error {
				if w.asked != nil {
					w.asked()
				}
				if w.dryRun == nil {
					return nil // it does not answer
				}
				return cl.AnswerDryRun(ctx, joined.WorkerID, ev.ID, w.dryRun(ev))
			},
			Page: func(ev wire.PageEvent) error { return cl.AnswerPage(ctx, joined.WorkerID, ev.ID, w.pages[ev.Instance]) },
		})
	}()
	f.t.Cleanup(func() {
		stop()
		<-ended
	})
	<-connected
}

func (f *fakeFleet) client(token string) *client.Client {
	f.t.Helper()
	cl, err := client.New(client.Options{BaseURL: f.srv.URL(), Token: token})
	if err != nil {
		f.t.Fatal(err)
	}
	return cl
}

// admin is a client of the server's own user.
func (f *fakeFleet) admin() *client.Client { return f.client("") }

// before puts a proxy before the server that answers some requests itself; handle reports whether it did.
func (f *fakeFleet) before(handle func(http.ResponseWriter, *http.Request) bool) {
	f.t.Helper()
	target, err := url.Parse(f.srv.URL())
	if err != nil {
		f.t.Fatal(err)
	}
	token, err := os.ReadFile(f.srv.AdminTokenPath())
	if err != nil {
		f.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !handle(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	f.t.Cleanup(front.Close)
	f.url = front.URL
}

// command is the program with arguments of a command that asks the server.
func (f *fakeFleet) command(args ...string) *exec.Cmd {
	f.t.Helper()
	path, err := exec.LookPath("stackscope") // this test's program, as testscript.Main has it
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.CommandContext(f.t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "GPUSTACK_SERVER_URL="+f.url, "TERM=xterm", "TZ=UTC", "NO_COLOR=1", "HOME="+f.t.TempDir())
	return cmd
}

// run runs a command without a terminal.
func (f *fakeFleet) run(args ...string) (code int, stdout, stderr string) {
	f.t.Helper()
	cmd := f.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err, code = nil, exit.ExitCode()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return code, out.String(), errs.String()
}

// must fails the test unless a command ends with a code and prints texts, on whichever output.
func (f *fakeFleet) must(code int, args []string, texts ...string) string {
	f.t.Helper()
	got, stdout, stderr := f.run(args...)
	if got != code {
		f.t.Errorf("%v: exit code %d, want %d", args, got, code)
	}
	for _, text := range texts {
		if !strings.Contains(stdout+stderr, text) {
			f.t.Errorf("%v: does not say %q", args, text)
		}
	}
	if f.t.Failed() {
		f.t.Fatalf("stdout:\n%s\nstderr:\n%s", stdout, stderr)
	}
	return stdout
}

func (f *fakeFleet) active() int64 {
	f.t.Helper()
	config, err := f.admin().GetConfig(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return config.Generation
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func decodeAnswer[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

const nineLines = `gpustack_metrics:
  gpustack:num_requests_running:
    type: gauge
    description: Running.
runtime_mapping:
  vLLM:
    "*":
      vllm:num_requests_running:
        gpustack:num_requests_running
`

// losing is a worker whose engine loses series under every other document, but under one with "extends" or that adds to the built-in one.
func losing() fakeWorker {
	page := func(n int) *wire.DryRunPage {
		return &wire.DryRunPage{Coverage: wire.Coverage{Families: 3, Of: 28}, Series: n}
	}
	return fakeWorker{
		instances: []wire.InstanceReport{{Name: "qwen-0", Model: "qwen", Runtime: "vLLM", RuntimeVersion: "0.11.0", State: "running"}},
		dryRun: func(ev wire.DryRunEvent) wire.DryRunResult {
			in := wire.InstanceDryRun{Name: "qwen-0", Runtime: "vLLM", RuntimeVersion: "0.11.0", Before: page(31), After: page(31)}
			if !ev.Default && !bytes.Contains(ev.Document, []byte("num_requests_waiting")) {
				in.After, in.Removed = page(1), 30
				in.Families = []wire.FamilyDryRun{
					{Name: "gpustack:e2e_request_latency_seconds", Removed: 26},
					{Name: "gpustack:num_requests_waiting", Removed: 4},
				}
			}
			return wire.DryRunResult{Instances: []wire.InstanceDryRun{in}}
		},
	}
}

// writeIn writes a file in the working directory.
func writeIn(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
