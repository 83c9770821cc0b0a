// Package prom runs Prometheus inside this process: its TSDB, scraper, PromQL engine, HTTP API and web UI, with targets handed
// over by the server instead of discovered. It is the only package that imports Prometheus' server code.
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

// Names of the scrape jobs, as in the configuration that the specification gives for a separate Prometheus.
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
	// drainTime is how long scrapes in flight may go on before they are cut off, and after them queries.
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

// Options say where Prometheus keeps its data, how much of it, and how it is reached.
type Options struct {
	Dir            string        // data directory, created when it is absent; one of a separate Prometheus is taken over as it is
	ShownDir       string        // what Dir is called in answers to strangers; "" is its last element
	RetentionTime  time.Duration // how long samples are kept; 0 means 15 days
	RetentionBytes int64         // how large the blocks may grow before the oldest go; 0 means no limit
	StopTimeout    time.Duration // bounds the way from the end of Run's context to its return; 0 means 9 s
	PathPrefix     string        // where Handler is mounted, like "/prometheus"; "" is the root
	ExternalURL    *url.URL      // how users reach PathPrefix; nil means http://HOSTNAME/PathPrefix
	UI             fs.FS         // the built web UI, index.html at its root; nil when it was not built
	Jobs           []Job         // nil means DefaultJobs
	Repair         bool          // move damaged data aside and go on without it; else it stays as it is, and Prometheus out of service
	MaxSeries      int64         // new series beyond that many in the head are refused; 0 means what half of the memory has room for
	ServerFamilies []string      // names of families that only the server's own page may have

	// HTTPConfigFile is Prometheus' HTTP client configuration for scraping workers; empty: nothing particular. What it holds goes to
	// workers with TLS alone, unless HTTPConfigPlain is set.
	HTTPConfigFile  string
	HTTPConfigPlain bool
	client          *commonconfig.HTTPClientConfig
	// Inside returns how a part of this process is reached whose target has that address, nil when there is none. It is scraped so, over
	// plain HTTP, whatever it asks of others.
	Inside func(address string) func(context.Context) (net.Conn, error)

	QueryMaxSamples  int           // that one query may hold, bounded by the memory; 0 means 50 million
	QueryConcurrency int           // how many queries run at once, MinQueryConcurrency or more; 0 means 20
	QueryTimeout     time.Duration // of one query, with its waiting; 0 means 2 minutes

	Logger *slog.Logger // nil discards
}

// Prometheus is an embedded Prometheus. New makes one, Run brings it to life.
type Prometheus struct {
	opts     Options
	logger   *slog.Logger
	stats    *tsdb.DBStats
	lock     *dirLock // nil: not taken yet
	handler  http.Handler
	hidden   *paths.Hidden
	requests *gate
	started  atomic.Bool
	core     atomic.Pointer[core] // nil until the TSDB is open
	ready    chan struct{}

	mu      sync.Mutex // guards groups, and orders the senders on updates
	groups  map[string][]*targetgroup.Group
	updates chan map[string][]*targetgroup.Group // capacity 1, holds the newest only

	around *surroundings
	health *health
	space  *space
}

// New checks the options and takes the data directory, which stays locked against other processes until Run returns or Close
// is called. It is an error when another process has it; where it can't be taken for another reason, Run goes on trying. Targets
// may be set at once; the API answers 503 until Run has opened the TSDB.
func New(o Options) (*Prometheus, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	p := &Prometheus{
		opts:     o,
		logger:   o.Logger.With(logging.KeyComponent, "prometheus"),
		stats:    tsdb.NewDBStats(),
		requests: newGate(o.QueryTimeout + requestGrace),
		hidden:   paths.Hide(o.Dir, o.ShownDir),
		ready:    make(chan struct{}),
		groups:   map[string][]*targetgroup.Group{},
		updates:  make(chan map[string][]*targetgroup.Group, 1),
	}
	for _, job := range o.jobs() {
		p.groups[job.Name] = nil
	}
	p.updates <- maps.Clone(p.groups)
	p.around = newSurroundings(o, p.logger)
	p.health, p.space = p.around.health, p.around.space
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
	o.warnOfClientConfig()
	if o.ExternalURL == nil {
		host, err := os.Hostname()
		if err != nil {
			host = "localhost"
		}
		o.ExternalURL = &url.URL{Scheme: "http", Host: host, Path: o.PathPrefix}
	}
	o.warnOfAnyAuthority()
	return nil
}

// Handler serves everything under PathPrefix: API, federation, health, Prometheus' own metrics and its web UI. It is complete
// from New on and may be called at any time, also after Run has returned.
func (p *Prometheus) Handler() http.Handler { return p.handler }

// AppendMetrics writes Prometheus' own families, as they are at PathPrefix/metrics, in text format 0.0.4. What cannot be read is
// left out; the error says what that was.
func (p *Prometheus) AppendMetrics(dst *bytes.Buffer) error {
	return metricspage.Append(dst, p.families())
}

// families gathers Prometheus' own and what we say about it. Its own aren't there before all of its parts are: it registers some
// that it goes on making.
func (p *Prometheus) families() prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		if c := p.core.Load(); c != nil {
			return prometheus.Gatherers{p.around.registry, c.registry}.Gather()
		}
		return p.around.registry.Gather()
	})
}

// Err returns all that is wrong with the embedded Prometheus, nil when it is well or still opens its data.
func (p *Prometheus) Err() error { return p.health.err() }

// Ready is closed when the TSDB is open and queries are answered.
func (p *Prometheus) Ready() <-chan struct{} { return p.ready }

// SetTargets replaces the targets of a job. It never blocks; of several calls in a row the last one counts. Labels whose name
// begins with __param_ reach the target as URL parameters. A job that is not among Options.Jobs is logged and ignored.
func (p *Prometheus) SetTargets(job string, groups []targets.Group) {
	converted := convertGroups(job, groups)
	if job == JobServer {
		p.around.reach.allow(addresses(groups))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.groups[job]; !ok {
		p.logger.Error("targets of an unknown scrape job are ignored", "job", job)
		return
	}
	p.groups[job] = converted
	if job == JobWorkers && p.opts.apart() {
		p.groups[JobWorkers], p.groups[jobWorkersTLS] = split(groups)
	}
	select {
	case <-p.updates:
	default:
	}
	p.updates <- maps.Clone(p.groups) // senders hold the lock and made room, so there is some
}

// SetWorkers says whose samples come from which target, by its host:port. A sample of JobWorkers that names another worker is not
// stored, and one of a target that isn't among them may name none. Before the first call any may be named. A worker's cluster counts where
// the target or the sample has a cluster_id. Only one goroutine may call it.
func (p *Prometheus) SetWorkers(workers map[string][]Worker) {
	var before map[string]*identity
	if known := p.around.admission.workers.Load(); known != nil {
		before = *known
	}
	known := identities(workers, before)
	p.around.admission.workers.Store(&known)
}

// Run opens the TSDB (after a crash it reads its write-ahead log first), scrapes and answers queries until ctx ends. Then it
// returns within Options.StopTimeout. Data that can't be opened is no error: it is logged, the API and Err say so, and Run waits
// for the end. Run may be called once.
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
		p.requests.shut(0)
		return p.giveUp(opened)
	}
	if c == nil { // ctx has ended
		p.requests.shut(0)
		return p.release()
	}

	p.core.Store(c)
	close(p.ready)
	p.opts.Logger.Info("Prometheus is ready", logging.KeyComponent, "prometheus", "dir", p.opts.Dir,
		"blocks", len(c.db.Blocks()), "series", c.db.Head().NumSeries(), "duration", time.Since(begin).Round(time.Millisecond))

	go p.health.watch(ctx, c.registry, p.opts.Dir)
	failed := c.scrapeFrom(p.updates)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, p.bounded(p.opts.StopTimeout, func() error {
		c.stopScraping(drainTime)
		p.requests.shut(drainTime) // before the storage goes: its files are mapped into memory
		return errors.Join(c.closeStorage(), p.release())
	}))
}

// giveUp ends a start that is no longer wanted. A database that opens slowly is left to the end of the process: nothing was
// written to it yet.
func (p *Prometheus) giveUp(opened <-chan *core) error {
	half := p.opts.StopTimeout / 2
	select {
	case c := <-opened:
		if c == nil {
			return p.release()
		}
		return p.bounded(half, func() error { return errors.Join(c.closeStorage(), p.release()) })
	case <-time.After(half):
		p.opts.Logger.Warn("Prometheus was stopped while it opened its data", logging.KeyComponent, "prometheus", "dir", p.opts.Dir)
		return nil
	}
}

// bounded runs stop for at most limit. What stop hasn't done by then ends with the process: samples are in the write-ahead
// log, and the lock goes with the process that held it.
func (p *Prometheus) bounded(limit time.Duration, stop func() error) error {
	var stopping sync.WaitGroup
	var err error
	stopping.Go(func() { err = caught(stop) })
	if !lifecycle.WaitWithin(limit, &stopping) {
		return fmt.Errorf("prometheus: data directory %s was not closed within %v; the next start recovers it", p.opts.Dir, limit)
	}
	return err
}

// Close gives the data directory back when Run was never called; otherwise Run does that, and Close does nothing.
func (p *Prometheus) Close() error {
	if !p.started.CompareAndSwap(false, true) {
		return nil
	}
	return p.release()
}

// release gives the directory back, where it was taken.
func (p *Prometheus) release() error {
	if p.lock == nil {
		return nil
	}
	return p.lock.release()
}
