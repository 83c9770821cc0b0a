// Package worker assembles the agent of one machine. It exports the machine's and its engines' metrics, tells the server about its
// engines, and follows the server's metrics mapping. Without a server it does the same with the last mapping that it knows.
package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stackscope/stackscope/internal/attribution"
	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/base/dirlock"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/base/webport"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/host"
	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/instances"
	"github.com/stackscope/stackscope/internal/mapsync"
	"github.com/stackscope/stackscope/internal/session"
)

const (
	// stopTimeout bounds how long open scrapes may take once the worker ends.
	stopTimeout = time.Second
	// mappingRetryInterval is when the mapping is saved again after that failed.
	mappingRetryInterval = 30 * time.Second
)

// lockFile makes a worker the only one on its data directory. A server on the same directory has another lock.
const lockFile = "worker.lock"

// Worker is one agent.
type Worker struct {
	opts      Options
	logger    *slog.Logger
	stack     lifecycle.Stack
	memory    budget.Budget  // for large pages and what they become
	client    *client.Client // nil: there is no server
	store     *instances.Store
	follower  *mapsync.Follower
	fetcher   *fetch.Fetcher
	discovery *discovery.Discovery
	shares    *attribution.Attribution
	instances *instances.Manager
	gpus      *gpu.Set
	host      *host.Host
	exporter  *exporter.Exporter // nil: no metrics are served
	handler   http.Handler
	port      *webport.Port          // nil: no metrics are served
	address   atomic.Pointer[string] // HOST:PORT under which the worker is registered
	session   *session.Session       // nil: there is no server
	labels    atomic.Pointer[exporter.Identity]
	left      chan struct{}
}

// New opens the data directory and the metrics port and makes every part. It connects to nothing: that is Run's. When it fails,
// everything that it opened is closed again.
func New(ctx context.Context, o Options) (_ *Worker, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	w := &Worker{opts: o, logger: o.Logger.With(logging.KeyComponent, "worker"), left: make(chan struct{}), memory: budget.New(int64(o.LargePagesMemory) << 20)}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close(ctx))
		}
	}()
	if err := w.openClient(); err != nil {
		return nil, err
	}
	if err := w.openDataDir(); err != nil {
		return nil, err
	}
	if err := w.openEngines(); err != nil {
		return nil, err
	}
	if err := w.openGPUs(); err != nil {
		return nil, err
	}
	w.host = host.New(host.Options{Root: o.HostRoot, Interval: o.HostInterval, Logger: o.Logger})
	w.instances.Save() // the identity must be on disk before the server hears of it
	if err := w.openMetrics(ctx); err != nil {
		return nil, err
	}
	w.openSession()
	return w, nil
}

func (w *Worker) openClient() (err error) {
	o := &w.opts
	if o.ServerURL == "" {
		return nil
	}
	w.client, err = client.New(client.Options{
		BaseURL: o.ServerURL, Token: o.Token, TokenFrom: o.TokenFrom, HTTPClient: o.HTTPClient, CAFile: o.CAFile, Logger: o.Logger,
	})
	return err
}

// openDataDir locks the data directory, since two workers with one identity would be one to the server, and reads what an earlier run
// left in it.
func (w *Worker) openDataDir() error {
	dir := w.opts.DataDir
	if err := durable.MkdirAll(dir, "--data-dir"); err != nil {
		return err
	}
	lock, err := dirlock.Take(dir, lockFile, "worker")
	switch {
	case errors.Is(err, dirlock.ErrUnsupported):
		w.logger.Warn("the data directory cannot be locked; make sure that no other worker uses it", "error", err)
	case err != nil:
		return err
	default:
		w.stack.Push("lock of the data directory", func(context.Context) error { return lock.Release() })
	}
	if w.store, err = instances.OpenStore(filepath.Join(dir, "worker.json"), w.opts.ServerURL, w.logger); err != nil {
		return err
	}
	w.setLabels()
	w.follower, err = mapsync.NewFollower(mapsync.FollowerOptions{Path: filepath.Join(dir, "mapping.json"), Logger: w.opts.Logger})
	return err
}

// openEngines makes what finds engines and what manages those that are found.
func (w *Worker) openEngines() (err error) {
	o := &w.opts
	w.fetcher = fetch.New(fetch.Options{LargePages: w.memory.Pages})
	w.stack.Push("engines' connections", func(context.Context) error {
		w.fetcher.Close()
		return nil
	})
	do := discovery.Options{
		Root: o.HostRoot, Rules: runtimes.DetectionRules(), DockerHost: o.DockerHost, OnChange: func() { w.instances.Refresh() }, Logger: o.Logger,
		Processes: slices.Contains(o.Discover, discovery.SourceProcess), Docker: slices.Contains(o.Discover, discovery.SourceDocker),
	}
	for _, d := range o.Engines {
		do.Declared = append(do.Declared, discovery.Declared{Key: d.Instance, URL: d.URL})
	}
	if w.discovery, err = discovery.New(do); err != nil {
		return err
	}
	w.shares = attribution.New(func(p gpu.Process) (string, bool) {
		if p.Instance != "" {
			return p.Instance, true
		}
		return w.discovery.Owner(p.PID)
	})
	io := instances.Options{
		Worker: o.Name, Store: w.store, Fetcher: w.fetcher, GPUs: gpuShares{w.shares}, Declared: o.Engines, Sources: o.Discover,
		Retention: o.EngineRetention, StallAfter: o.StallAfter, Logger: o.Logger,
	}
	if w.client != nil {
		io.OnChange = func() { w.session.Changed() }
		io.Unreported = func() int { return w.session.Unreported() }
	}
	if o.LimitMemory {
		memory.KeepLittleGarbage()
		if os.Getenv("GOMEMLIMIT") == "" {
			io.OnCount = func(engines int) { limitMemory(engines, w.memory) }
		}
	}
	w.instances, err = instances.New(io)
	return err
}

func (w *Worker) openGPUs() error {
	o := &w.opts
	backends, err := w.gpuBackends()
	if err != nil {
		return err
	}
	root := cmp.Or(o.HostRoot, "/")
	w.gpus, err = gpu.New(gpu.Options{
		Backends: backends, Interval: o.GPUInterval, StatePath: filepath.Join(o.DataDir, "cards.json"), Expected: o.ExpectedGPUs,
		Root: root, OnReading: w.shares.Observe, Logger: o.Logger,
	})
	return err
}

// openMetrics makes the exporter and opens the metrics port.
func (w *Worker) openMetrics(ctx context.Context) error {
	o := &w.opts
	if o.DisableWorkerMetrics {
		return nil
	}
	key, err := userKey(o)
	if err != nil {
		return err
	}
	if w.exporter, err = exporter.New(exporter.Options{
		Engines: w.instances.Engines, Collectors: w.collectors(), Mapping: w.follower, Identity: func() exporter.Identity { return *w.labels.Load() },
		MaxSeries: o.MaxSeriesPerEngine, NewSeries: o.MaxNewSeriesPerEngine, UserLimit: o.UserLimit, UserKey: key,
		Memory: w.memory.Results, Logger: o.Logger,
	}); err != nil {
		return err
	}
	w.handler = w.exporter.Handler()
	return w.openPort(ctx)
}

func (w *Worker) collectors() []exporter.Collector {
	var list []exporter.Collector
	for _, c := range w.host.Collectors() {
		list = append(list, c)
	}
	for _, c := range w.gpus.Collectors() {
		list = append(list, c)
	}
	list = append(list, w.shares, w.instances.Collector())
	for _, c := range w.discovery.Collectors() {
		list = append(list, c)
	}
	return list
}

// Run serves metrics and follows the server until ctx ends, and then tells it that the worker stops. It returns an error when
// the metrics can no longer be served, or when the server's first answer is that the token is wrong.
func (w *Worker) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	parts, ctx := errgroup.WithContext(ctx)
	start := func(run func(context.Context)) {
		parts.Go(func() error {
			run(ctx)
			return nil
		})
	}
	start(w.host.Run)
	start(w.gpus.Run)
	start(w.discovery.Run)
	start(func(ctx context.Context) { w.instances.Run(ctx, w.discovery) })
	start(w.keepMapping)
	if w.port != nil {
		parts.Go(func() error { return w.port.Serve(ctx, stopTimeout) })
		w.logger.Info("worker serves metrics", "address", w.metricsURL(), "engines", len(w.instances.Instances()))
	}
	parts.Go(func() error {
		defer close(w.left)
		if w.session == nil {
			return nil
		}
		return w.session.Run(ctx)
	})
	return parts.Wait()
}

// keepMapping saves the mapping again while its file does not hold it.
func (w *Worker) keepMapping(ctx context.Context) {
	retry := time.NewTicker(mappingRetryInterval)
	defer retry.Stop()
	for {
		select {
		case <-retry.C:
			w.follower.Keep()
		case <-ctx.Done():
			return
		}
	}
}

// Close releases what New opened. Run does so itself: Close is for a worker that is not run. A second call does nothing.
func (w *Worker) Close() error { return w.close(context.Background()) }

// close goes on when ctx has ended.
func (w *Worker) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return w.stack.Stop(ctx)
}
