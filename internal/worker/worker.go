// Package worker is the agent of one machine: it exports the machine's and its engines' metrics, tells the server what it
// sees, and follows the server's metrics mapping. Without a server it does the same with the last mapping it knows.
package worker

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/attribution"
	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/dirlock"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/fake"
	"github.com/stackscope/stackscope/internal/collector/host"
	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapsync"
	"github.com/stackscope/stackscope/internal/session"
	"github.com/stackscope/stackscope/internal/wire"
)

// Options are the settings of a worker. Start from DefaultOptions.
type Options struct {
	// ServerURL is the server's address; empty: the worker stands alone.
	ServerURL string
	// Token is the server's join token, and TokenFile the file that it was read from and is read from again for each registration; empty:
	// it is from no file.
	Token, TokenFile string
	// TokenFrom says in errors where the token was given.
	TokenFrom string
	// HTTPClient reaches the server; nil: an ordinary one. Its Timeout must be 0, or it cuts the watch stream off.
	HTTPClient *http.Client
	// CAFile holds the authorities of the server's certificate; empty: the system's.
	CAFile string
	// Name is the worker's name; empty: the host name.
	Name string
	// Cluster is the name of the cluster to join; empty: the default one.
	Cluster string
	// Address is the host name or IP address under which the worker is scraped; empty: the local address from which the
	// server is reached.
	Address string
	// MetricsHost and MetricsPort are where the metrics are served. Port 0 takes any free one.
	MetricsHost          string
	MetricsPort          int
	DisableWorkerMetrics bool
	// WebConfigFile protects them; empty: they answer everybody.
	WebConfigFile string
	// DataDir holds what the worker is and knows. It is made when it isn't there.
	DataDir string
	Engines []engine.Declaration
	Labels  map[string]string
	// HostRoot is where the machine's file system is mounted; empty: /.
	HostRoot string
	// HostInterval is the time between two samples of the machine.
	HostInterval time.Duration
	// Discover says where engines are looked for besides those declared.
	Discover []discovery.Source
	// DockerHost is the container daemon's address; empty: the usual socket.
	DockerHost string
	// EngineRetention is how long an engine that was found is shown after it ended.
	EngineRetention time.Duration
	// StallAfter is after how long without progress an engine that has work counts as stalled; negative: never.
	StallAfter time.Duration
	// MaxSeriesPerEngine bounds the series of an engine in the unified vocabulary; 0: as many as can be translated.
	MaxSeriesPerEngine int
	// MaxNewSeriesPerEngine bounds the series of an engine that are new in an hour; 0: not bounded.
	MaxNewSeriesPerEngine int
	// UserLimit is how many users of each gateway have series of their own; all others are one.
	UserLimit int
	// HashUsers replaces users' names by hashes made with the key in UserHashKeyFile; empty: a file in DataDir, which is made.
	HashUsers       bool
	UserHashKeyFile string
	// LargePagesMemory bounds, in MiB, what engines' pages beyond 1 MiB and what they become take together.
	LargePagesMemory int
	// LimitMemory makes Go collect garbage early enough for a process that is nothing but a worker, unless GOMEMLIMIT says
	// how early.
	LimitMemory bool
	// GPUVendors names the vendors whose cards are read; empty: all; none: no cards.
	GPUVendors []string
	// GPUInterval is the time between two samples of the cards.
	GPUInterval time.Duration
	// ExpectedGPUs is how many cards the node should have; 0: those that were once seen.
	ExpectedGPUs int
	// FakeGPUs is a number of simulated cards to show instead of real ones.
	FakeGPUs int
	// GPUBackends replace those of the vendors; nil: they aren't replaced.
	GPUBackends []gpu.Backend
	// ReportInterval is how often the worker reports when nothing changes; 0: as the server says.
	ReportInterval time.Duration
	Logger         *slog.Logger // nil: silent
}

// DefaultOptions returns the settings of a worker started without any flag.
func DefaultOptions() Options {
	return Options{
		MetricsHost: "0.0.0.0", MetricsPort: 10151, DataDir: "/var/lib/stackscope", HostInterval: host.DefaultInterval,
		Discover: []discovery.Source{discovery.SourceProcess, discovery.SourceDocker}, EngineRetention: 5 * time.Minute, StallAfter: 2 * time.Minute,
		MaxSeriesPerEngine: 50_000, MaxNewSeriesPerEngine: 50_000, LargePagesMemory: minLargePagesMemory, UserLimit: 1000, GPUInterval: time.Second,
	}
}

// maxEngines bounds the engines of a worker.
const maxEngines = 512

// maxConnections bounds the connections to the metrics listener; where the process may not open many files, they are percentOfFiles.
const (
	maxConnections = 512
	percentOfFiles = 25
)

// shutdownTime bounds how long scrapes under way may take when the worker ends.
const shutdownTime = time.Second

// Worker is one agent.
type Worker struct {
	opts      Options
	logger    *slog.Logger
	roster    *roster
	discovery *discovery.Discovery
	cards     *gpu.Set
	shares    *attribution.Attribution
	host      *host.Host
	follower  *mapsync.Follower
	fetcher   *engine.Fetcher
	listener  net.Listener       // nil: no metrics are served
	exporter  *exporter.Exporter // nil: no metrics are served
	handler   http.Handler
	session   *session.Session // nil: stands alone
	keeper    *keeper
	lock      *dirlock.Lock // nil: the data directory cannot be locked
	identity  atomic.Pointer[exporter.Identity]
	found     signal // what discovery finds may have changed
	saves     signal // something worth keeping may have changed

	serving

	run     string        // tells this process from others of the same UUID
	began   time.Time     // when it did
	settled chan struct{} // closed when the worker may report what it found
	left    chan struct{}
}

// signal wakes one goroutine. Signals that come faster than they are taken count as one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) send() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// New checks the options, opens the data directory and the metrics port and puts the worker together. It does not connect to
// anything. Close or Run ends what it opened.
func New(ctx context.Context, o Options) (_ *Worker, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	given := o.Name
	if o.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("host name: %w; name the worker with --worker-name", err)
		}
		o.Name = name
	}
	if err := o.checkNames(given); err != nil {
		return nil, err
	}
	engines, err := o.check()
	if err != nil {
		return nil, err
	}
	w := &Worker{
		opts: o, logger: o.Logger.With(logging.KeyComponent, "worker"), found: newSignal(), saves: newSignal(),
		run: rand.Text(), began: time.Now(), settled: make(chan struct{}), left: make(chan struct{}),
	}
	var server *client.Client
	if o.ServerURL != "" {
		if server, err = client.New(client.Options{BaseURL: o.ServerURL, Token: o.Token, TokenFrom: o.TokenFrom, HTTPClient: o.HTTPClient, CAFile: o.CAFile, Logger: o.Logger}); err != nil {
			return nil, err
		}
	}
	if err := durable.MkdirAll(o.DataDir, "--data-dir"); err != nil {
		return nil, err
	}
	if err := w.lockDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.unlockDir())
		}
	}()
	if w.keeper, err = openKeeper(filepath.Join(o.DataDir, "worker.json"), o.ServerURL, w.logger); err != nil {
		return nil, err
	}
	if w.follower, err = mapsync.NewFollower(mapsync.FollowerOptions{Path: filepath.Join(o.DataDir, "mapping.json"), Logger: o.Logger}); err != nil {
		return nil, err
	}
	w.identify(w.keeper.current())
	w.fetcher = engine.NewFetcher(engine.FetcherOptions{LargePagesBytes: largePages(o.LargePagesMemory)})
	if err := w.look(engines); err != nil {
		return nil, err
	}
	w.host = host.New(host.Options{Root: o.HostRoot, Interval: o.HostInterval, Logger: o.Logger})
	w.keeper.save(w.roster.engines()) // who the worker is must be on disk before the server hears of it
	if !o.DisableWorkerMetrics {
		if err := w.export(ctx); err != nil {
			return nil, err
		}
	}
	if server != nil {
		w.session = session.New(w.sessionOptions(server))
	}
	return w, nil
}

func (w *Worker) sessionOptions(server *client.Client) session.Options {
	o := session.Options{
		Server: session.OverHTTP(server), Identity: (*identity)(w), Instances: w.roster, Mapping: w.follower,
		Token: w.opts.Token, TokenFile: w.opts.TokenFile, StateFile: w.keeper.file.Path, Ready: w.settled,
		ReportInterval: w.opts.ReportInterval, Logger: w.opts.Logger,
	}
	if w.exporter != nil {
		o.DryRun = w.exporter.DryRun
	}
	return o
}

// identity is the worker as its session registers it.
type identity Worker

// Registration implements session.Identity.
func (i *identity) Registration(ctx context.Context) wire.RegisterRequest {
	w := (*Worker)(i)
	return wire.RegisterRequest{
		UUID: w.keeper.current().UUID, Name: w.opts.Name, Cluster: w.opts.Cluster, MetricsPort: w.metricsPort(),
		MetricsScheme: w.scheme(), Address: w.settleAddress(ctx), Labels: w.opts.Labels, Version: buildinfo.Get().Version, Run: w.run,
	}
}

// Registered implements session.Identity.
func (i *identity) Registered(resp wire.RegisterResponse) {
	w := (*Worker)(i)
	w.keeper.joined(w.opts.ServerURL, resp)
	w.identify(w.keeper.current())
	if !w.keeper.save(w.roster.engines()) {
		w.saves.send() // it is tried again
	}
}

// changed saves and reports what changed.
func (w *Worker) changed() {
	w.saves.send()
	if w.session != nil {
		w.session.Changed()
	}
}

// check completes the engines and reports the first setting that cannot work.
func (o *Options) check() ([]engine.Declaration, error) {
	switch {
	case o.MetricsPort < 0 || o.MetricsPort > 65535:
		return nil, fmt.Errorf("--worker-metrics-port %d: ports are 1 to 65535", o.MetricsPort)
	case o.DataDir == "":
		return nil, errors.New("--data-dir is empty: give a directory")
	case len(o.Engines) > maxEngines:
		return nil, fmt.Errorf("%d engines are declared: a worker takes at most %d", len(o.Engines), maxEngines)
	case o.ServerURL != "" && strings.TrimSpace(o.Token) == "":
		return nil, errors.New("--token-file is missing: give a file with the content of worker-token in the server's data directory")
	case o.ServerURL == "" && o.Token != "":
		return nil, errors.New("a token is given without --server-url: give both, or none for a worker that stands alone")
	}
	if err := o.checkCards(); err != nil {
		return nil, err
	}
	return engine.CheckDeclarations(o.Engines, o.Name)
}

// look makes what finds engines and cards.
func (w *Worker) look(declared []engine.Declaration) (err error) {
	o := &w.opts
	w.roster = &roster{
		worker: o.Name, fetcher: w.fetcher, keeper: w.keeper, retention: o.EngineRetention, stall: o.StallAfter, logger: o.Logger,
		onChange: w.changed, byKey: map[string]*watched{}, looked: make(chan struct{}),
		missing: w.missing, save: w.saves.send,
	}
	if o.LimitMemory && os.Getenv("GOMEMLIMIT") == "" {
		w.roster.onCount = func(engines int) { limitMemory(engines, o.LargePagesMemory) }
	}
	if err := w.roster.declare(declared); err != nil {
		return err
	}
	do := discovery.Options{
		Root: o.HostRoot, Rules: engine.DetectionRules(), DockerHost: o.DockerHost, OnChange: w.found.send, Logger: o.Logger,
		Processes: slices.Contains(o.Discover, discovery.SourceProcess), Docker: slices.Contains(o.Discover, discovery.SourceDocker),
	}
	for _, d := range declared {
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
	list := o.GPUBackends
	switch {
	case list != nil:
	case o.FakeGPUs > 0:
		simulated, err := fake.New(fake.Options{Devices: o.FakeGPUs, Seed: 1, Users: w.roster.users})
		if err != nil {
			return err
		}
		list = []gpu.Backend{simulated}
	default:
		list = backends(o.GPUVendors, cmp.Or(o.HostRoot, "/"), o.Logger)
	}
	w.cards, err = gpu.New(gpu.Options{
		Backends: list, Interval: o.GPUInterval, StatePath: filepath.Join(o.DataDir, "cards.json"), Expected: o.ExpectedGPUs,
		Root: cmp.Or(o.HostRoot, "/"), OnReading: w.shares.Observe, Logger: o.Logger,
	})
	return err
}

func (w *Worker) export(ctx context.Context) error {
	var collectors []exporter.Collector
	for _, c := range w.host.Collectors() {
		collectors = append(collectors, c)
	}
	for _, c := range w.cards.Collectors() {
		collectors = append(collectors, c)
	}
	collectors = append(collectors, w.shares, instances{w.roster, w.shares, w.unreported()})
	for _, c := range w.discovery.Collectors() {
		collectors = append(collectors, c)
	}
	key, err := userKey(&w.opts)
	if err != nil {
		return err
	}
	x, err := exporter.New(exporter.Options{
		Engines:    w.roster.exported,
		Collectors: collectors,
		Mapping:    w.follower,
		Identity:   func() exporter.Identity { return *w.identity.Load() },
		MaxSeries:  w.opts.MaxSeriesPerEngine,
		NewSeries:  w.opts.MaxNewSeriesPerEngine,
		UserLimit:  w.opts.UserLimit,
		UserKey:    key,
		Memory:     budget.New(int64(w.opts.LargePagesMemory) << 20).Results,
		Logger:     w.opts.Logger,
	})
	if err != nil {
		return err
	}
	if err := w.openServing(); err != nil {
		return err
	}
	w.exporter, w.handler = x, x.Handler()
	if w.listener, err = lifecycle.Listen(w.opts.MetricsHost, w.opts.MetricsPort, "--worker-metrics-port"); err != nil {
		return err
	}
	if w.inside != nil && w.opts.ServerURL != "" {
		w.settleAddress(ctx) // so that a Prometheus in this process never scrapes it from outside
	}
	return nil
}

// LeaveTime bounds how long a worker that ends takes to tell its server.
const LeaveTime = session.LeaveTimeout

// Left returns a channel that is closed when Run has told the server that the worker stops, or knows that it can't. A server
// in the same process stops after that.
func (w *Worker) Left() <-chan struct{} { return w.left }

// Addr is where the metrics are served, host:port; empty if they are not.
func (w *Worker) Addr() string {
	if w.listener == nil {
		return ""
	}
	return w.listener.Addr().String()
}

// metricsPort is the port to report; 0 if no metrics are served.
func (w *Worker) metricsPort() int {
	_, port, err := net.SplitHostPort(w.Addr())
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(port) // a listener's port is a number
	return n
}

// Close ends what New opened. It is for a worker that is not Run.
func (w *Worker) Close() error {
	w.fetcher.Close()
	if w.listener == nil {
		return w.unlockDir()
	}
	return errors.Join(w.listener.Close(), w.unlockDir())
}

// Run serves metrics and follows the server until ctx ends, and then tells it that the worker stops. It returns an error when
// the metrics can no longer be served, or when the server's first answer is that the token is wrong.
func (w *Worker) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { w.host.Run(ctx) })
	wg.Go(func() { w.cards.Run(ctx) })
	wg.Go(func() { w.discovery.Run(ctx) })
	wg.Go(func() { w.roster.run(ctx, w.discovery, w.found, w.shares) })
	wg.Go(func() { w.keep(ctx) })
	wg.Go(func() { w.settle(ctx) })
	failed := make(chan error, 4)
	if w.listener != nil {
		fail := func(err error) {
			failed <- err
			cancel(err)
		}
		if err := w.serve(ctx, &wg, fail); err != nil {
			fail(err)
		}
	}
	if w.session == nil {
		close(w.left)
	} else {
		wg.Go(func() {
			defer close(w.left)
			if err := w.session.Run(ctx); err != nil {
				failed <- err
				cancel(err)
			}
		})
	}
	wg.Wait()
	w.fetcher.Close()
	unlocked := w.unlockDir()
	select {
	case err := <-failed:
		return errors.Join(err, unlocked)
	default:
		return unlocked
	}
}

// unreported returns what says how many instances reports leave out; nil: there are no reports.
func (w *Worker) unreported() func() int {
	if w.opts.ServerURL == "" {
		return nil
	}
	return func() int { return w.session.Unreported() }
}

// identify makes the next scrape use the labels of s.
func (w *Worker) identify(s state) {
	w.identity.Store(new(exporter.Identity{
		WorkerID: idText(s.WorkerID), WorkerName: cmp.Or(s.WorkerName, w.opts.Name),
		ClusterID: idText(s.ClusterID), ClusterName: cmp.Or(s.ClusterName, w.opts.Cluster, fleet.DefaultClusterName),
	}))
}

// idText is an id as a label value; an id that is not known leaves its label out.
func idText(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}
