// Package prom runs Prometheus inside this process: its TSDB, scraper, PromQL engine, HTTP API and web UI. The server sets the targets;
// Prometheus' service discovery is not used. It is the only package that imports Prometheus' server code.
package prom

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/metricspage"
	"github.com/stackscope/stackscope/internal/base/paths"
	"github.com/stackscope/stackscope/internal/targets"
)

// Names of the scrape jobs, as in the specification's configuration of a separate Prometheus.
const (
	JobWorkers = "gpustack-worker-discovery"
	JobServer  = "gpustack-server"
)

const (
	defaultRetention = 15 * 24 * time.Hour
	maxRetention     = 100 * 365 * 24 * time.Hour // the TSDB computes in milliseconds around now

	defaultQueryMaxSamples  = 50_000_000
	defaultQueryConcurrency = 20
	defaultQueryTimeout     = 2 * time.Minute

	defaultStopTimeout = 9 * time.Second
	// drainTime is the grace of scrapes in flight when Prometheus stops, and then that of queries.
	drainTime = 500 * time.Millisecond
)

// Job is a scrape job: targets of one name, scraped at one interval.
type Job struct {
	Name     string
	Interval time.Duration // also the scrape's timeout, at most 10 s
}

// DefaultJobs returns the specification's two jobs with its intervals.
func DefaultJobs() []Job {
	return []Job{{JobWorkers, 5 * time.Second}, {JobServer, 10 * time.Second}}
}

// Options are the settings of an embedded Prometheus.
type Options struct {
	Dir            string        // data directory, created if absent; that of a separate Prometheus works unchanged
	ShownDir       string        // replaces Dir in responses to unauthenticated clients; "" is its last element
	RetentionTime  time.Duration // how long samples are kept; 0 means 15 days
	RetentionBytes int64         // size of the blocks from which the oldest are deleted; 0 means no limit
	StopTimeout    time.Duration // bounds the time from the end of Run's context to its return; 0 means 9 s
	PathPrefix     string        // where Handler is mounted, like "/prometheus"; "" is the root
	ExternalURL    *url.URL      // how users reach PathPrefix; nil means http://HOSTNAME/PathPrefix
	UI             fs.FS         // the built web UI, index.html at its root; nil when it was not built
	Jobs           []Job         // nil means DefaultJobs
	Repair         bool          // move damaged data aside and continue without it; else Prometheus stays out of service
	MaxSeries      int64         // limit of series in the head, above which new ones are refused; 0 means as many as fit into half of the memory
	ServerFamilies []string      // names of metrics that only the server itself may export

	// HTTPConfigFile is Prometheus' HTTP client configuration for scraping workers; empty: the default. It applies only to workers with
	// TLS, unless HTTPConfigPlain is set.
	HTTPConfigFile  string
	HTTPConfigPlain bool
	client          *commonconfig.HTTPClientConfig
	// Inside returns an in-process dialer for a target of this process, nil for any other address. Such a target is scraped over plain
	// HTTP without credentials, even if it requires TLS or credentials from others.
	Inside func(address string) func(context.Context) (net.Conn, error)

	QueryMaxSamples  int           // of one query, further bounded by the memory; 0 means 50 million
	QueryConcurrency int           // how many queries run at once, MinQueryConcurrency or more; 0 means 20
	QueryTimeout     time.Duration // of one query, including the wait for memory; 0 means 2 minutes

	Logger *slog.Logger // nil discards
}

// Prometheus is an embedded Prometheus. New creates it, Run runs it.
type Prometheus struct {
	opts     Options
	logger   *slog.Logger
	stats    *tsdb.DBStats
	lock     *dirLock // nil: not locked yet
	handler  http.Handler
	hidden   *paths.Hidden
	requests *inflightRequests
	started  atomic.Bool
	core     atomic.Pointer[core] // nil until the TSDB is open
	ready    chan struct{}

	mu      sync.Mutex // guards groups, and orders the senders on updates
	groups  map[string][]*targetgroup.Group
	updates chan map[string][]*targetgroup.Group // capacity 1, holds the newest only

	shared *sharedParts
	health *health
	disk   *diskSpace
}

// New checks the options and locks the data directory until Run returns or Close is called. It fails if another process has the lock;
// after other lock errors Run retries. SetTargets may be called at once. The API answers 503 until Run has opened the TSDB.
func New(o Options) (*Prometheus, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	p := &Prometheus{
		opts:     o,
		logger:   o.Logger.With(logging.KeyComponent, "prometheus"),
		stats:    tsdb.NewDBStats(),
		requests: newInflightRequests(o.QueryTimeout + requestGrace),
		hidden:   paths.Hide(o.Dir, o.ShownDir),
		ready:    make(chan struct{}),
		groups:   map[string][]*targetgroup.Group{},
		updates:  make(chan map[string][]*targetgroup.Group, 1),
	}
	for _, job := range o.jobs() {
		p.groups[job.Name] = nil
	}
	p.updates <- maps.Clone(p.groups)
	p.shared = newSharedParts(o, p.logger)
	p.health, p.disk = p.shared.health, p.shared.disk
	var err error
	if p.handler, err = p.routes(); err != nil {
		return nil, err
	}
	lock, unusable := lockDir(o.Dir)
	if unusable != nil && errors.Is(unusable, errInUse) {
		return nil, unusable
	}
	p.lock = lock
	return p, nil
}

func (o *Options) complete() error {
	switch {
	case o.Dir == "":
		return errors.New("prometheus: no data directory given")
	case o.RetentionTime < 0 || o.RetentionTime > maxRetention:
		return fmt.Errorf("prometheus: retention time %v: use a time above 0 and up to 100 years", o.RetentionTime)
	case o.RetentionBytes < 0:
		return fmt.Errorf("prometheus: retention size %d: use a number of bytes, or 0 for no limit", o.RetentionBytes)
	case o.QueryMaxSamples < 0:
		return fmt.Errorf("prometheus: %d samples for a query: use a number above 0", o.QueryMaxSamples)
	case o.QueryConcurrency != 0 && o.QueryConcurrency < MinQueryConcurrency:
		return fmt.Errorf("prometheus: %d queries at once: use %d or more", o.QueryConcurrency, MinQueryConcurrency)
	case o.QueryTimeout < 0:
		return fmt.Errorf("prometheus: query timeout %v: use a time above 0", o.QueryTimeout)
	case o.PathPrefix != "" && (!strings.HasPrefix(o.PathPrefix, "/") || strings.HasSuffix(o.PathPrefix, "/")):
		return fmt.Errorf("prometheus: path prefix %q: begin it with a slash, end it without one", o.PathPrefix)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("prometheus: data directory %s: %w", o.Dir, err)
	}
	o.Dir = dir
	o.ShownDir = cmp.Or(o.ShownDir, filepath.Base(dir))
	if o.RetentionTime == 0 {
		o.RetentionTime = defaultRetention
	}
	o.QueryMaxSamples = cmp.Or(o.QueryMaxSamples, defaultQueryMaxSamples)
	o.QueryConcurrency = cmp.Or(o.QueryConcurrency, defaultQueryConcurrency)
	o.QueryTimeout = cmp.Or(o.QueryTimeout, defaultQueryTimeout)
	if o.StopTimeout == 0 {
		o.StopTimeout = defaultStopTimeout
	}
	if o.Jobs == nil {
		o.Jobs = DefaultJobs()
	}
	if o.client, err = loadClientConfig(o.HTTPConfigFile); err != nil {
		return err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.warnInsecureTLS()
	if o.ExternalURL == nil {
		host, err := os.Hostname()
		if err != nil {
			host = "localhost"
		}
		o.ExternalURL = &url.URL{Scheme: "http", Host: host, Path: o.PathPrefix}
	}
	o.warnPublicAuthority()
	return nil
}

// Handler serves everything under PathPrefix: API, federation, health, Prometheus' own metrics and its web UI. It may be called at any
// time, also before Run and after Run has returned.
func (p *Prometheus) Handler() http.Handler { return p.handler }

// AppendMetrics writes Prometheus' own metrics, as at PathPrefix/metrics, in text format 0.0.4. Metrics that can't be gathered are
// omitted and named in the error.
func (p *Prometheus) AppendMetrics(dst *bytes.Buffer) error {
	return metricspage.Append(dst, p.families())
}

// families gathers Prometheus' own metrics and ours about it. Prometheus' own are omitted until openCore has returned, because it
// registers metrics whose parts are not complete.
func (p *Prometheus) families() prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		if c := p.core.Load(); c != nil {
			return prometheus.Gatherers{p.shared.registry, c.registry}.Gather()
		}
		return p.shared.registry.Gather()
	})
}

// Err returns the problems of the embedded Prometheus, nil if there are none or while it opens its data.
func (p *Prometheus) Err() error { return p.health.err() }

// Ready returns a channel that is closed once the TSDB is open and queries are answered.
func (p *Prometheus) Ready() <-chan struct{} { return p.ready }

// SetTargets replaces the targets of a job. It never blocks; the last of several calls wins. Labels whose name begins with __param_
// become URL parameters of the scrape. A job that is not in Options.Jobs is logged and ignored.
func (p *Prometheus) SetTargets(job string, groups []targets.Group) {
	converted := convertGroups(job, groups)
	if job == JobServer {
		p.shared.dialPolicy.allow(addresses(groups))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.groups[job]; !ok {
		p.logger.Error("targets of an unknown scrape job are ignored", "job", job)
		return
	}
	p.groups[job] = converted
	if job == JobWorkers && p.opts.separateTLSJob() {
		p.groups[JobWorkers], p.groups[jobWorkersTLS] = splitByScheme(groups)
	}
	select {
	case <-p.updates:
	default:
	}
	p.updates <- maps.Clone(p.groups) // doesn't block: the lock is held and the channel was emptied
}

// SetWorkers sets which workers' samples may come from which target, by host:port. A sample of JobWorkers with the labels of another
// worker is not stored. Samples of a target without workers must not have worker labels. Before the first call all labels are
// accepted. The cluster is compared if the target or the sample has a cluster_id. Only one goroutine may call it.
func (p *Prometheus) SetWorkers(workers map[string][]Worker) {
	var previous map[string]*identity
	if known := p.shared.filter.workers.Load(); known != nil {
		previous = *known
	}
	known := identities(workers, previous)
	p.shared.filter.workers.Store(&known)
}

// Run opens the TSDB, which replays its WAL, then scrapes and answers queries until ctx ends. It returns within Options.StopTimeout
// after that. If the data can't be opened, Run logs this, the API and Err report it, and Run waits for the end of ctx. Run may be called
// once.
func (p *Prometheus) Run(ctx context.Context) error {
	if !p.started.CompareAndSwap(false, true) {
		return errors.New("prometheus: Run was called twice or after Close")
	}
	begin := time.Now()
	opened := make(chan *core, 1)
	go func() { opened <- p.open(ctx) }()

	var c *core
	select {
	case c = <-opened:
	case <-ctx.Done():
		p.requests.drain(0)
		return p.cancelOpen(opened)
	}
	if c == nil { // ctx has ended
		p.requests.drain(0)
		return p.release()
	}

	p.core.Store(c)
	close(p.ready)
	p.opts.Logger.Info("Prometheus is ready", logging.KeyComponent, "prometheus", "dir", p.opts.Dir,
		"blocks", len(c.db.Blocks()), "series", c.db.Head().NumSeries(), "duration", time.Since(begin).Round(time.Millisecond))

	go p.health.watch(ctx, c.registry, p.opts.Dir)
	failed := c.startScraping(p.updates)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, p.closeWithin(p.opts.StopTimeout, func() error {
		c.stopScraping(drainTime)
		p.requests.drain(drainTime) // before the storage goes: its files are mapped into memory
		return errors.Join(c.closeStorage(), p.release())
	}))
}

// cancelOpen ends Run while the TSDB opens. It waits for half of the stop timeout; after that the end of the process closes the TSDB, to
// which nothing has been written yet.
func (p *Prometheus) cancelOpen(opened <-chan *core) error {
	half := p.opts.StopTimeout / 2
	select {
	case c := <-opened:
		if c == nil {
			return p.release()
		}
		return p.closeWithin(half, func() error { return errors.Join(c.closeStorage(), p.release()) })
	case <-time.After(half):
		p.opts.Logger.Warn("Prometheus was stopped while it opened its data", logging.KeyComponent, "prometheus", "dir", p.opts.Dir)
		return nil
	}
}

// closeWithin runs stop and returns after at most limit. The end of the process then does the rest: samples are in the WAL, and the
// lock ends with the process.
func (p *Prometheus) closeWithin(limit time.Duration, stop func() error) error {
	var stopping sync.WaitGroup
	var err error
	stopping.Go(func() { err = recovered(stop) })
	if !lifecycle.WaitWithin(limit, &stopping) {
		return fmt.Errorf("prometheus: data directory %s was not closed within %v; the next start recovers it", p.opts.Dir, limit)
	}
	return err
}

// Close unlocks the data directory if Run was never called. After Run it does nothing.
func (p *Prometheus) Close() error {
	if !p.started.CompareAndSwap(false, true) {
		return nil
	}
	return p.release()
}

// release unlocks the data directory if it is locked.
func (p *Prometheus) release() error {
	if p.lock == nil {
		return nil
	}
	return p.lock.release()
}
