package prom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"
	"github.com/prometheus/prometheus/util/features"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/prom/guard"
)

const (
	queryLookback = 5 * time.Minute

	// targetDelay is the longest time from SetTargets until the scraper uses the new targets.
	targetDelay = time.Second

	maxBlockDuration = 31 * 24 * time.Hour
)

// core holds the TSDB and everything that needs it open.
type core struct {
	logger        *slog.Logger
	config        *config.Config // without secrets, for the API
	scrapeConfig  *config.Config // with secrets, for the scraper
	features      features.Collector
	parser        *guard.Parser
	db            *tsdb.DB
	activeQueries *promql.ActiveQueryTracker
	budget        *queryBudget
	rules         *rules.Manager
	scrape        *scrape.Manager
	api           *apiTable
	federate      http.Handler

	registry    *prometheus.Registry // of Prometheus' own metrics
	cutoff      *cutoff
	stop        chan struct{} // closed to end the feeding of targets
	scrapeEnded chan struct{} // closed when the scrape manager's loop has ended
}

// openCore opens the TSDB and builds everything on top of it. On an error nothing stays open.
func openCore(o Options, logger *slog.Logger, reg *prometheus.Registry, stats *tsdb.DBStats, shared *sharedParts) (_ *core, err error) {
	logger = shared.health.captureErrors(infoAsDebug(logger))
	c := &core{
		logger:      logger,
		features:    features.NewRegistry(),
		parser:      guard.NewParser(),
		registry:    reg,
		cutoff:      newCutoff(shared.dialPolicy, o.Inside),
		stop:        make(chan struct{}),
		scrapeEnded: make(chan struct{}),
	}
	if c.config, err = newConfig(o, logger); err != nil {
		return nil, err
	}
	c.scrapeConfig = o.withClientConfig(c.config)
	defer func() {
		if err != nil {
			err = errors.Join(err, c.closeStorage())
		}
	}()

	sizes := newSizes(memory.Limit(), o)
	if c.activeQueries, err = promql.NewActiveQueryTracker(o.Dir, sizes.slots+ruleQueries, logger); err != nil {
		return nil, fmt.Errorf("prometheus: data directory %s: %w", o.Dir, err)
	}
	if c.db, err = tsdb.Open(o.Dir, logger, reg, storageOptions(o, c.features), stats); err != nil {
		return nil, fmt.Errorf("prometheus: data directory %s can't be opened: %w", o.Dir, &dataError{err})
	}
	sizes.log(o.Logger.With(logging.KeyComponent, "prometheus"), o)
	c.budget = newQueryBudget(sizes, c.activeQueries, promql.EngineOpts{
		Logger:                   logger,
		Reg:                      reg,
		Timeout:                  o.QueryTimeout,
		LookbackDelta:            queryLookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return scrapeInterval.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		FeatureRegistry:          c.features,
		Parser:                   c.parser,
	})
	c.rules = rules.NewManager(&rules.ManagerOptions{
		NameValidationScheme:   c.config.GlobalConfig.MetricNameValidationScheme,
		ExternalURL:            o.ExternalURL,
		QueryFunc:              rules.EngineQueryFunc(c.budget.rules, metered{c.db}),
		NotifyFunc:             func(context.Context, string, ...*rules.Alert) {},
		Context:                context.Background(), // groups end by Stop
		Appendable:             c.db,
		Queryable:              c.db,
		Logger:                 logger,
		Registerer:             reg,
		DefaultRuleQueryOffset: func() time.Duration { return 0 },
		FeatureRegistry:        c.features,
		Parser:                 c.parser,
	})
	c.scrape, err = scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval:  model.Duration(targetDelay),
		DiscoveryReloadOnStartup: true,
		FeatureRegistry:          c.features,
		HTTPClientOptions:        []commonconfig.HTTPClientOption{commonconfig.WithDialContextFunc(c.cutoff.dial)},
		PassMetadataInContext:    true, // the target, for admission
	}, slog.New(scrapeLog{logger.Handler()}), nil, nil, guardedAppendable{c.db, c.cutoff, shared, c.db.Head().NumSeries}, reg)
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	c.api = newAPI(o, c, reg, storageStats{c.db, stats})
	c.federate = &federation{db: metered{c.db}, parser: c.parser, budget: c.budget, logger: logger}
	return c, nil
}

func storageOptions(o Options, registry features.Collector) *tsdb.Options {
	opts := tsdb.DefaultOptions()
	opts.NoLockfile = true // New has locked the directory
	opts.RetentionDuration = o.RetentionTime.Milliseconds()
	opts.MaxBytes = o.RetentionBytes
	opts.MaxBlockDuration = min(o.RetentionTime/10, maxBlockDuration).Milliseconds()
	opts.WALCompression = compression.Snappy
	opts.FeatureRegistry = registry
	return opts
}

// startScraping starts rule evaluation and the scraping of the targets from updates. The returned channel receives an error if
// the configuration can't be applied.
func (c *core) startScraping(updates <-chan map[string][]*targetgroup.Group) <-chan error {
	failed := make(chan error, 1)
	go c.rules.Run()
	sets := make(chan map[string][]*targetgroup.Group)
	go func() {
		defer close(sets)
		for {
			select {
			case u := <-updates:
				sets <- u
			case <-c.stop:
				// The manager may apply its last set while it stops; an empty one starts no scrapes.
				sets <- map[string][]*targetgroup.Group{}
				return
			}
		}
	}()
	go func() {
		defer close(c.scrapeEnded)
		// ApplyConfig resolves the host name, which takes seconds without a reachable resolver. Queries must not wait for it.
		if err := c.scrape.ApplyConfig(c.scrapeConfig); err != nil {
			failed <- fmt.Errorf("prometheus: configuration: %w", err)
		}
		_ = c.scrape.Run(sets) // returns nil when sets is closed
	}()
	return failed
}

// stopScraping returns when scrapes and rule evaluations have ended. Scrapes in flight are cut off after grace.
func (c *core) stopScraping(grace time.Duration) {
	close(c.stop)
	defer c.cutoff.now()
	defer time.AfterFunc(grace, c.cutoff.now).Stop()
	<-c.scrapeEnded
	c.scrape.Stop()
	c.rules.Stop()
}

// closeStorage closes what openCore opened. No request may use the storage any more.
func (c *core) closeStorage() error {
	var errs []error
	if c.db != nil {
		errs = append(errs, c.db.Close())
	}
	if c.activeQueries != nil {
		errs = append(errs, c.activeQueries.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("prometheus: close storage: %w", err)
	}
	return nil
}
