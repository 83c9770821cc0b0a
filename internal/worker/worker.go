// Package worker assembles the agent of one machine. It exports the metrics of the machine and its engines, reports the engines to the
// server, and follows the server's metrics mapping. Without a server it uses the last mapping that it received, or the built-in one.
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
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stackscope/stackscope/internal/access"
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
	// stopTimeout is how long open scrapes may take after the worker is stopped.
	stopTimeout = time.Second
	// mappingRetryInterval is the pause between attempts to save the mapping.
	mappingRetryInterval = 30 * time.Second
)

// lockFile prevents two workers on one data directory. A server in the same directory has a lock of its own.
const lockFile = "worker.lock"

// Worker is one agent.
type Worker struct {
	opts      Options
	logger    *slog.Logger
	stack     lifecycle.Stack
	memory    budget.Budget  // for large pages and their results
	client    *client.Client // nil: there is no server
	store     *instances.Store
	follower  *mapsync.Follower
	fetcher   *fetch.Fetcher
	discovery *discovery.Discovery
	shares    *attribution.Attribution
	instances *instances.Manager
	gpus      *gpu.Set
	gpuList   *gpuList
	host      *host.Host
	access    *access.Checker    // nil: nothing is said of what is missing
	exporter  *exporter.Exporter // nil: no metrics are served
	handler   http.Handler
	port      *webport.Port          // nil: no metrics are served
	address   atomic.Pointer[string] // HOST:PORT under which the worker is registered
	session   *session.Session       // nil: there is no server
	labels    atomic.Pointer[exporter.Identity]
	left      chan struct{}

	probeLock sync.Mutex
	probe     <-chan struct{} // of the last probe of the page; nil: none was made
}

// New opens the data directory and the metrics port and makes all parts. It does not connect to anything before Run. If it fails, it closes
// what it opened.
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
	w.openAccess()
	w.instances.Save() // the UUID must be on disk before the worker registers with it
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

// openDataDir locks the data directory and reads the state of an earlier run. The lock is needed because the server takes two workers with
// one identity for the same one.
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

// openEngines makes discovery, attribution and the manager of instances.
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
	manager := instances.Options{
		Worker: o.Name, Store: w.store, Fetcher: w.fetcher, GPUs: gpuShares{w.shares}, Declared: o.Engines, Sources: o.Discover,
		Retention: o.EngineRetention, StallAfter: o.StallAfter, Logger: o.Logger,
	}
	if w.client != nil {
		manager.OnChange = func() { w.session.Changed() }
		manager.Unreported = func() int { return w.session.Unreported() }
	}
	if o.LimitMemory {
		memory.KeepLittleGarbage()
		if os.Getenv("GOMEMLIMIT") == "" {
			manager.OnCount = func(engines int) { limitMemory(engines, w.memory) }
		}
	}
	w.instances, err = instances.New(manager)
	return err
}

func (w *Worker) openGPUs() error {
	o := &w.opts
	backends, err := w.gpuBackends()
	if err != nil {
		return err
	}
	root := cmp.Or(o.HostRoot, "/")
	w.gpuList = &gpuList{shares: w.shares, instances: w.instances}
	if w.client != nil {
		w.gpuList.onChange = func() { w.session.Changed() }
	}
	w.gpus, err = gpu.New(gpu.Options{
		Backends: backends, Interval: o.GPUInterval, StatePath: filepath.Join(o.DataDir, "cards.json"), Expected: o.ExpectedGPUs,
		Root: root, OnReading: w.gpuList.observe, Logger: o.Logger,
	})
	w.gpuList.set = w.gpus
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
	if w.access != nil {
		list = append(list, w.access)
	}
	return list
}

// Run serves metrics and keeps the worker registered until ctx ends, and then tells the server that the worker stops. It returns an error if
// the metrics can no longer be served, or if the server's first answer is that the token is wrong.
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
	if w.access != nil {
		start(w.access.Run)
	}
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

// keepMapping retries to save the mapping while that fails.
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

// Close releases what New opened. It is for a worker that is not run, because Run does the same. A second call does nothing.
func (w *Worker) Close() error { return w.close(context.Background()) }

// close also works after ctx has ended.
func (w *Worker) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return w.stack.Stop(ctx)
}
