package prom

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"

	"github.com/stackscope/stackscope/internal/base/memory"
)

const (
	// maxLabelBytes bounds the names and values of a series' labels together.
	maxLabelBytes = 4 << 10
	// bytesPerSeries is the memory that is assumed for a series of the head. With high churn a series takes a quarter of it,
	// garbage included.
	bytesPerSeries = 8 << 10
	// limitLogInterval is how often the log says that new series are refused.
	limitLogInterval = 10 * time.Minute
)

// sampleFilter decides which new series are stored. Samples of existing series are not checked, except those of the first scrapes after
// the worker at the target's address has changed.
type sampleFilter struct {
	logger        *slog.Logger
	maxSeries     uint64 // 0: no limit
	serverMetrics map[string]bool
	workers       atomic.Pointer[map[string]*identity] // by target, host:port; nil before the first SetWorkers
	checks        sync.Map                             // *targetCheck by weak.Pointer[scrape.Target]

	refused                              *prometheus.CounterVec
	wrongWorker, serverOwned, longLabels prometheus.Counter
	overLimit                            prometheus.Counter
	lastLogged                           atomic.Int64 // when the limit was last logged, in Unix nanoseconds
}

func newSampleFilter(o Options, logger *slog.Logger, reg prometheus.Registerer) *sampleFilter {
	f := &sampleFilter{
		logger: logger, serverMetrics: map[string]bool{}, maxSeries: maxSeries(o.MaxSeries, memory.Limit()),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stackscope_prometheus_samples_refused_total",
			Help: "Scraped samples that the embedded Prometheus did not store, by reason: worker (its worker_id and worker_name are not " +
				"those of one worker that is registered at its address in its cluster), family (a worker sent a metric of the server), " +
				"labels (its labels take more than 4 KiB), series (it would be a new series above the limit).",
		}, []string{"reason"}),
	}
	for _, name := range o.ServerFamilies {
		f.serverMetrics[name] = true
	}
	for _, name := range []string{
		"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added",
	} {
		f.serverMetrics[name] = true // the scraper's report samples
	}
	f.wrongWorker, f.serverOwned = f.refused.WithLabelValues("worker"), f.refused.WithLabelValues("family")
	f.longLabels, f.overLimit = f.refused.WithLabelValues("labels"), f.refused.WithLabelValues("series")
	reg.MustRegister(f.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stackscope_prometheus_max_series",
		Help: "Series in the head of the embedded Prometheus from which on new ones are refused; 0 is no limit.",
	}, func() float64 { return float64(f.maxSeries) }))
	return f
}

// maxSeries returns the limit of series: the configured one, or as many as fit into half of the process' memory.
func maxSeries(configured int64, limit memory.Bound) uint64 {
	if configured > 0 {
		return uint64(configured)
	}
	return uint64(max(cmp.Or(limit.Bytes, assumedMemory), 0)) / 2 / bytesPerSeries
}

// guardedAppendable stores scraped samples, as far as cutoff, disk space and sample filter allow.
type guardedAppendable struct {
	storage.AppendableV2
	cutoff *cutoff
	shared *sharedParts
	series func() uint64 // in the head
}

// AppenderV2 implements storage.AppendableV2. It is called once per scrape.
func (g guardedAppendable) AppenderV2(ctx context.Context) storage.AppenderV2 {
	if g.shared.disk != nil && !g.shared.disk.canStore(g.series()) {
		return discardAppender{g.shared.health}
	}
	app := g.AppendableV2.AppenderV2(ctx)
	a := &guardedAppender{AppenderV2: app, cutoff: g.cutoff, shared: g.shared, series: g.series, worker: true}
	a.refs, _ = app.(storage.GetRef)
	if t, ok := scrape.TargetFromContext(ctx); ok {
		a.worker = t.GetValue(model.JobLabel) == JobWorkers
		if a.worker {
			a.source = g.shared.filter.source(t)
			a.verified = a.source.verified()
		}
	}
	return a
}

type guardedAppender struct {
	storage.AppenderV2
	cutoff *cutoff
	shared *sharedParts
	series func() uint64
	refs   storage.GetRef // nil: can't look up series

	worker   bool // the target is a worker
	source   source
	verified bool // the series in the scrape cache have been checked
	check    scrapeCheck
}

// Append implements storage.AppenderV2. A refused sample gets no error, because the scraper would log a misleading message, and no
// reference, so that the series is checked again in the next scrape.
func (a *guardedAppender) Append(
	ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AppendV2Options,
) (storage.SeriesRef, error) {
	switch {
	case !a.worker || value.IsStaleNaN(v) && ref != 0:
	case isReportSample(o):
		if !a.verified && o.MetricFamilyName == samplesScraped {
			a.check.reported = int(v)
		}
	case ref == 0:
		a.check.samples++
		if refused := a.refusalCounter(ls); refused != nil {
			refused.Inc()
			return 0, nil
		}
	case !a.verified:
		a.check.samples++
		if !a.source.allows(ls) {
			a.endSeries(ref, ls, t)
			return 0, nil
		}
	}
	return a.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
}

// isReportSample reports whether a sample is one of the scraper's own, such as up: their names end in a byte that no metric name has.
func isReportSample(o storage.AppendV2Options) bool {
	return strings.HasSuffix(o.MetricFamilyName, "\xff")
}

// refusalCounter returns the counter of the reason for which a new series is refused, nil for one that may be stored.
func (a *guardedAppender) refusalCounter(ls labels.Labels) prometheus.Counter {
	filter := a.shared.filter
	switch name := ls.Get(model.MetricNameLabel); {
	case filter.serverMetrics[name], strings.HasPrefix(name, "prometheus_"), strings.HasPrefix(name, "net_conntrack_"):
		return filter.serverOwned // the prefixes are those of the embedded Prometheus' own metrics
	case !a.source.allows(ls):
		return filter.wrongWorker
	case ls.ByteSize() > maxLabelBytes:
		return filter.longLabels
	}
	if filter.maxSeries == 0 || a.series() < filter.maxSeries {
		return nil
	}
	if a.refs != nil {
		if known, _ := a.refs.GetRef(ls, ls.Hash()); known != 0 {
			return nil
		}
	}
	filter.logLimit(a.series(), ls)
	return filter.overLimit
}

// logLimit logs, at most once per limitLogInterval, that the limit of series is reached.
func (f *sampleFilter) logLimit(series uint64, ls labels.Labels) {
	now, last := time.Now().UnixNano(), f.lastLogged.Load()
	if now-last < int64(limitLogInterval) || !f.lastLogged.CompareAndSwap(last, now) {
		return
	}
	f.logger.Warn("new series are refused, existing ones continue: look for the metric whose labels change, give the server more memory, "+
		"or raise --builtin-prometheus-max-series", "series", series, "max", f.maxSeries,
		"family", ls.Get(model.MetricNameLabel), "target", ls.Get(model.InstanceLabel))
}

// Commit implements storage.AppenderV2. It returns no error, because the scraper would log it for each target; health logs it once.
func (a *guardedAppender) Commit() error {
	a.saveCheck()
	if a.cutoff.ctx.Err() != nil {
		return a.Rollback()
	}
	a.shared.health.recordCommit(a.AppenderV2.Commit())
	return nil
}

// discardAppender discards samples while the disk is full. It returns the references that it gets, so that the series continue
// afterwards.
type discardAppender struct{ health *health }

func (discardAppender) Append(
	ref storage.SeriesRef, _ labels.Labels, _, _ int64, _ float64, _ *histogram.Histogram, _ *histogram.FloatHistogram, _ storage.AppendV2Options,
) (storage.SeriesRef, error) {
	return ref, nil
}

func (u discardAppender) Commit() error {
	u.health.notStored.Inc()
	return nil
}

func (discardAppender) Rollback() error { return nil }
