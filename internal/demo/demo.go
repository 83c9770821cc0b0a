// Package demo runs a small fleet to look at: a server, a worker of this machine, and simulated engines and GPUs under load.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/ownaddress"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/grafana"
	"github.com/stackscope/stackscope/internal/server"
	"github.com/stackscope/stackscope/internal/worker"
	"github.com/stackscope/stackscope/internal/worker/flags"
)

const (
	loopback = "127.0.0.1"
	// readyTimeout bounds the way from the start to the first scrape of all engines, which takes some seconds.
	readyTimeout = time.Minute
	// grafanaTimeout bounds how long the demo waits for Grafana before it prints why Grafana is not ready.
	grafanaTimeout = 2 * time.Minute
	pollInterval   = 200 * time.Millisecond
	// fakeGPUs is the number of GPUs of the demo's node.
	fakeGPUs = 8
	// grafanaPassword is the specification's. The demo sets it itself, so that nobody is warned about what is only shown.
	grafanaPassword = "grafana"
)

// Options are the settings of a demo. Start from DefaultOptions.
type Options struct {
	// Scenario is the name of one of Scenarios. Empty: the first.
	Scenario string
	// Host is the address on which the server and the worker listen. The engines are on 127.0.0.1 in any case.
	Host string
	// Port is the API's. 0 takes any free one.
	Port int
	// MetricsPort and WorkerMetricsPort are the metrics'. One that is taken is replaced by any free one; 0 is any free one.
	MetricsPort, WorkerMetricsPort int
	// GrafanaHome is the Grafana to show the dashboards with; empty: one that is found, first in GrafanaSearched. NoGrafana: none.
	GrafanaHome     string
	GrafanaSearched []string
	NoGrafana       bool
	// GrafanaPort is where Grafana listens on loopback. One that is taken is replaced by any free one; 0 is any free one.
	GrafanaPort int
	// DataDir is kept. Empty: a temporary directory, removed at the end.
	DataDir string
	// Seed decides what happens on the engines. The same seed lets the same requests come at the same seconds after the start.
	Seed uint64
	// Settings are the flags of this process, for the bundle of a bug report.
	Settings []command.Setting
	Logger   *slog.Logger // nil: silent
	Out      io.Writer    // gets the summary; nil: nobody
}

// DefaultOptions returns the settings of a demo started without any flag.
func DefaultOptions() Options {
	return Options{Host: loopback, Port: 8080, MetricsPort: 10161, WorkerMetricsPort: 10151, GrafanaPort: 13000, Seed: 1, Scenario: ScenarioEngines}
}

// Run starts the fleet and runs it until ctx ends; everything stops within three seconds after that. It prints addresses and
// queries to Out when Prometheus has the first samples of every engine. It returns an error when a part cannot start or fails.
func Run(ctx context.Context, o Options) (err error) {
	began := time.Now()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	s := summary{dataDir: o.DataDir, noGrafana: o.NoGrafana}
	if o.DataDir == "" {
		if s.dataDir, err = os.MkdirTemp("", "stackscope-demo-*"); err != nil {
			return fmt.Errorf("temporary directory for the demo's data: %w; choose a directory with --data-dir", err)
		}
		s.temporary = true
		defer func() { err = errors.Join(err, os.RemoveAll(s.dataDir)) }()
	}
	f := &fleet{logger: o.Logger.With(logging.KeyComponent, "demo")}
	defer f.close() //nolint:contextcheck // it is for when ctx has ended, too
	if err := f.open(ctx, &o, &s); err != nil {
		return err
	}
	return f.run(ctx, func(ctx context.Context) (err error) {
		if err := f.ready(ctx); err != nil {
			return err
		}
		if s.ui, err = has(ctx, s.graph("")); err != nil {
			return err
		}
		s.took, s.grafana = time.Since(began), f.server.GrafanaStatus()
		if err := s.print(terminal.Of(o.Out, os.Getenv)); err != nil {
			return err
		}
		if s.grafana.Phase == grafana.PhaseAbsent || o.NoGrafana {
			return nil
		}
		return f.announceGrafana(ctx, o.Out, began)
	})
}

// fleet is the demo's parts.
type fleet struct {
	logger  *slog.Logger
	engines []*simulated
	server  *server.Server
	worker  *worker.Worker
}

// open makes all parts and binds their ports.
func (f *fleet) open(ctx context.Context, o *Options, s *summary) (err error) {
	if s.scenario, err = scenarioOf(o.Scenario); err != nil {
		return err
	}
	so := server.DefaultOptions()
	so.Host, so.Port, so.DataDir, so.Settings, so.Logger = o.Host, o.Port, s.dataDir, o.Settings, o.Logger
	so.StopTimeout = 2500 * time.Millisecond // somebody who is trying things waits for it
	so.MetricsPort = s.freeOr(o.Host, o.MetricsPort, "the server's metrics are")
	so.Grafana.Disabled, so.Grafana.Home, so.Grafana.Searched = o.NoGrafana, o.GrafanaHome, o.GrafanaSearched
	if !o.NoGrafana {
		so.Grafana.Port = s.freeOr(loopback, o.GrafanaPort, "Grafana is")
	}
	so.Grafana.AdminPassword = grafanaPassword
	if f.server, err = server.New(ctx, so); err != nil {
		return err
	}
	if f.engines, err = s.scenario.simulate(o.Seed, f.logger); err != nil {
		return err
	}
	defaults := worker.DefaultOptions()
	wf := flags.Worker{
		WorkerIP: loopback, WorkerMetricsHost: o.Host, HostRoot: "/", HostInterval: defaults.HostInterval,
		WorkerMetricsPort: s.freeOr(o.Host, o.WorkerMetricsPort, "the worker's metrics are"),
		// The demo is the same on every machine: it looks for no engines and no GPUs there.
		FakeGPUs: fakeGPUs, GPUInterval: defaults.GPUInterval, StallAfter: defaults.StallAfter, EngineRetention: defaults.EngineRetention,
	}
	for _, e := range f.engines {
		wf.Engine = append(wf.Engine, e.declaration())
	}
	wo, err := wf.Options(o.Logger)
	if err != nil {
		return err
	}
	wo.ServerURL, wo.Token, wo.DataDir = f.server.URL(), f.server.WorkerToken(), filepath.Join(s.dataDir, "worker")
	wo.IgnoreAccess = true
	wo.Describe(o.Settings)
	if f.worker, err = worker.New(ctx, wo); err != nil {
		return err
	}
	s.engines, s.join = f.engines, join(ctx, f.server.Addr(), s.dataDir)
	s.api, s.serverMetrics, s.workerMetrics = f.server.URL(), "http://"+local(f.server.MetricsAddr()), "http://"+local(f.worker.Addr())
	return nil
}

// close closes what was opened and, if run came that far, is closed already.
func (f *fleet) close() {
	for _, e := range f.engines {
		_ = e.listener.Close()
	}
	if f.worker != nil {
		_ = f.worker.Close()
	}
	if f.server != nil {
		_ = f.server.Close()
	}
}

// run runs all parts and then, until ctx ends or a part fails.
func (f *fleet) run(ctx context.Context, then func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	part := func(name string, run func(context.Context) error) {
		wg.Go(func() {
			err := run(ctx)
			if err == nil || errors.Is(err, ctx.Err()) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			cancel()
		})
	}
	for _, e := range f.engines {
		part(e.title, e.run)
	}
	part("server", func(ctx context.Context) error {
		serving, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		go func() {
			<-f.worker.Left()
			stop()
		}()
		return f.server.Run(serving)
	})
	part("worker", f.worker.Run)
	part("demo", then)
	<-ctx.Done()
	wg.Wait()
	return errors.Join(errs...)
}

// ready waits until the embedded Prometheus has samples of every engine.
func (f *fleet) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errNotReady)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	scraped, engines := 0, 0
	for _, e := range f.engines {
		if e.counts() {
			engines++
		}
	}
	// A data directory that was used before may hold fresh samples of engines that are gone.
	fresh := fmt.Sprintf("max by (model_instance_name) (timestamp(gpustack:num_requests_running)) > %d", time.Now().Unix())
	for {
		// Prometheus answers 503 until its database is open.
		if got, err := ask(ctx, f.server.URL(), fresh); err == nil {
			scraped = len(got)
		}
		if scraped >= engines {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errNotReady) {
				return fmt.Errorf("after %s Prometheus has samples of %d of %d engines: the log says why (--log-level debug shows all of it)", readyTimeout, scraped, engines)
			}
			return ctx.Err()
		}
	}
}

// announceGrafana prints that Grafana is ready, or after grafanaTimeout why it is not.
func (f *fleet) announceGrafana(ctx context.Context, out io.Writer, began time.Time) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	late := time.After(grafanaTimeout)
	for {
		status := f.server.GrafanaStatus()
		if status.Phase == grafana.PhaseRunning {
			_, err := fmt.Fprintf(out, "Grafana is ready after %.1f s: %s/grafana/\n", time.Since(began).Seconds(), f.server.URL())
			return err
		}
		select {
		case <-tick.C:
		case <-late:
			_, err := fmt.Fprintf(out, "Grafana is not ready: %s; %s/grafana/ shows its state\n", status.Reason, f.server.URL())
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errNotReady = errors.New("not ready")

// freeOr returns port, or 0 with a note when another program has it.
func (s *summary) freeOr(host string, port int, what string) int {
	if port == 0 {
		return 0
	}
	ln, err := lifecycle.Listen(host, port, "")
	if err != nil {
		s.notes = append(s.notes, fmt.Sprintf("port %d is not available, so %s on another one", port, what))
		return 0
	}
	_ = ln.Close()
	return port
}

// join is how another worker joins the server that listens at bound. On this machine it needs a name, a port and a directory of its own.
func join(ctx context.Context, bound, dataDir string) terminal.Join {
	host, port, err := net.SplitHostPort(bound)
	token := filepath.Join(dataDir, command.JoinTokenFile)
	if ip := net.ParseIP(host); err != nil || ip.IsLoopback() {
		return terminal.Join{
			Server: "http://localhost:" + port, TokenFile: token,
			Flags: []string{"--worker-name", "second", "--worker-metrics-port", "0", "--data-dir", filepath.Join(dataDir, "second")},
		}
	}
	address := ownaddress.Find(ctx, host, "")
	return terminal.Join{Server: "http://" + net.JoinHostPort(address, port), TokenFile: token, Login: terminal.Login(address)}
}

// local turns the address of a listener into one for this machine.
func local(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = loopback
	}
	return net.JoinHostPort(host, port)
}
