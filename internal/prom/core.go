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

	// targetDelay is the longest time from SetTargets to the scraper's taking it up.
	targetDelay = time.Second

	maxBlockDuration = 31 * 24 * time.Hour
)

// core is what lives between the opening of the TSDB and its closing.
type core struct {
	logger   *slog.Logger
	config   *config.Config // as it is shown
	scraped  *config.Config // the same with what the scraper alone may know
	features features.Collector
	parser   *guard.Parser
	db       *tsdb.DB
	active   *promql.ActiveQueryTracker
	budget   *queryBudget
	rules    *rules.Manager
	scrape   *scrape.Manager
	api      *apiTable
	federate http.Handler

	registry *prometheus.Registry // of Prometheus' own families
	cutoff   *cutoff
	stop     chan struct{} // closed to end the feeding of targets
	ended    chan struct{} // closed when the scrape manager's loop has ended
}

// openCore opens the TSDB and builds everything on top of it. On an error nothing stays open.
func openCore(o Options, logger *slog.Logger, reg *prometheus.Registry, stats *tsdb.DBStats, around *surroundings) (_ *core, err error) {
	logger = around.health.listening(quieter(logger))
	c := &core{
		logger:   logger,
		features: features.NewRegistry(),
		parser:   guard.NewParser(),
		registry: reg,
		cutoff:   newCutoff(around.reach, o.Inside),
		stop:     make(chan struct{}),
		ended:    make(chan struct{}),
	}
	if c.config, err = newConfig(o, logger); err != nil {
		return nil, err
	}
	c.scraped = o.withClient(c.config)
	defer func() {
		if err != nil {
			err = errors.Join(err, c.closeStorage())
		}
	}()

	sizes := newSizes(memory.Limit(), o)
	if c.active, err = promql.NewActiveQueryTracker(o.Dir, sizes.slots+ruleQueries, logger); err != nil {
		return nil, fmt.Errorf("prometheus: data directory %s: %w", o.Dir, err)
	}
	if c.db, err = tsdb.Open(o.Dir, logger, reg, storageOptions(o, c.features), stats); err != nil {
		return nil, fmt.Errorf("prometheus: data directory %s can't be opened: %w", o.Dir, &dataError{err})
	}
	sizes.log(o.Logger.With(logging.KeyComponent, "prometheus"), o)
	c.budget = newQueryBudget(sizes, c.active, promql.EngineOpts{
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
	}, slog.New(scrapeLog{logger.Handler()}), nil, nil, guardedAppends{c.db, c.cutoff, around, c.db.Head().NumSeries}, reg)
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

// scrapeFrom starts scraping what comes over updates, and rule evaluation. The channel it returns carries an error when that
// can't be done.
func (c *core) scrapeFrom(updates <-chan map[string][]*targetgroup.Group) <-chan error {
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
				// The manager may take up its last set while it is being stopped; this one starts nothing.
				sets <- map[string][]*targetgroup.Group{}
				return
			}
		}
	}()
	go func() {
		defer close(c.ended)
		// Looks the host's name up, which takes seconds where the resolver is unreachable: queries don't wait for it.
		if err := c.scrape.ApplyConfig(c.scraped); err != nil {
			failed <- fmt.Errorf("prometheus: configuration: %w", err)
		}
		_ = c.scrape.Run(sets) // returns nil when sets is closed
	}()
	return failed
}

// stopScraping returns when scrapes and rule evaluations have ended. Scrapes in flight may go on for grace, then they are cut off.
func (c *core) stopScraping(grace time.Duration) {
	close(c.stop)
	defer c.cutoff.now()
	defer time.AfterFunc(grace, c.cutoff.now).Stop()
	<-c.ended
	c.scrape.Stop()
	c.rules.Stop()
}

// closeStorage closes what openCore opened. Nobody may read from the storage any more.
func (c *core) closeStorage() error {
	var errs []error
	if c.db != nil {
		errs = append(errs, c.db.Close())
	}
	if c.active != nil {
		errs = append(errs, c.active.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("prometheus: close storage: %w", err)
	}
	return nil
}
