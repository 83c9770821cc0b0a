package prom

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/util/notifications"
	api "github.com/prometheus/prometheus/web/api/v1"

	"github.com/stackscope/stackscope/internal/base/paths"
)

const (
	remoteReadConcurrency = 10
	remoteReadFrameBytes  = 1 << 20
	searchLimit           = 10_000
)

// newAPI returns Prometheus' HTTP API for paths below /api/v1. It is read-only: admin API, remote write, OTLP and cross-origin
// requests are disabled.
func newAPI(o Options, c *core, reg *prometheus.Registry, stats storageStats) *apiTable {
	version := buildInfo()
	a := api.NewAPI(
		c.budget.users,
		metered{c.db},
		nil, nil, // appenders for remote write and OTLP
		c.db,
		func(context.Context) api.ScrapePoolsRetriever { return c.scrape },
		func(context.Context) api.TargetRetriever { return sanitizedTargets{c.scrape} },
		func(context.Context) api.AlertmanagerRetriever { return noAlertmanagers{} },
		func() config.Config { return *c.config },
		flagValues(o, c.budget.sizes),
		api.GlobalURLOptions{ListenAddress: ":0", Host: o.ExternalURL.Host, Scheme: o.ExternalURL.Scheme},
		func(f http.HandlerFunc) http.HandlerFunc { return f }, // readiness: withCore has checked it
		stats,
		o.Dir,
		false, // admin API
		false, // search API, experimental
		searchLimit,
		c.logger,
		func(context.Context) api.RulesRetriever { return c.rules },
		c.budget.readSamples(), remoteReadConcurrency, remoteReadFrameBytes,
		false,                            // agent
		relabel.MustNewRegexp("").Regexp, // CORS: matches no origin
		newRuntimeInfo(o, reg),
		version,
		func() []notifications.Notification { return []notifications.Notification{} },
		// No live stream: the UI polls instead, so that no connection outlives its request.
		func() (<-chan notifications.Notification, func(), bool) { return nil, nil, false },
		reg,
		reg,
		nil,   // renderer of query statistics: the default
		false, // remote write receiver
		nil,   // its message types
		false, // OTLP receiver
		false, // its delta conversion
		false, // its delta ingestion
		false, // start timestamps as zero samples
		queryLookback,
		false, // type and unit labels
		false, // metadata from remote write
		nil,   // error codes: the default
		c.features,
		api.OpenAPIOptions{ExternalURL: o.ExternalURL.String(), Version: version.Version, MaxSearchLimit: searchLimit},
		c.parser,
	)
	table := &apiTable{router: route.New()}
	router := table.router.WithInstrumentation(newHTTPMetrics(reg).instrument).WithInstrumentation(table.recordPath)
	a.Register(router)
	table.next = hideDataDirInAPI(paths.Hide(o.Dir, o.ShownDir), newRemoteReadLimiter(c.budget, &apiLimiter{parser: c.parser, budget: c.budget, next: router}))
	return table
}
