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
	// bytesPerSeries is what a series of the head is counted with. While series churn it takes a quarter of that, with what the
	// garbage collector has not taken yet.
	bytesPerSeries = 8 << 10
	// ceilingInterval is how often it is logged that new series are refused.
	ceilingInterval = 10 * time.Minute
)

// sampleAdmission decides which series may come into being. Samples of series that are there already pass it without a look, but for
// the first ones after another worker has come to their target's address.
type sampleAdmission struct {
	logger    *slog.Logger
	maxSeries uint64 // 0: no ceiling
	families  map[string]bool
	workers   atomic.Pointer[map[string]*identity] // by target, host:port; nil: not known yet
	looked    sync.Map                             // *looked by weak.Pointer[scrape.Target]

	refused              *prometheus.CounterVec
	foreign, owned, long prometheus.Counter
	beyond               prometheus.Counter
	told                 atomic.Int64 // when the ceiling was last logged, in Unix nanoseconds
}

func newSampleAdmission(o Options, logger *slog.Logger, reg prometheus.Registerer) *sampleAdmission {
	a := &sampleAdmission{
		logger: logger, families: map[string]bool{}, maxSeries: maxSeries(o.MaxSeries, memory.Limit()),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stackscope_prometheus_samples_refused_total",
			Help: "Scraped samples that the embedded Prometheus did not store, by reason: worker (its worker_id and worker_name are not " +
				"those of one worker that is registered at its address in its cluster), family (a worker sent a metric of the server), " +
				"labels (its labels take more than 4 KiB), series (it would be a new series above the limit).",
		}, []string{"reason"}),
	}
	for _, name := range o.ServerFamilies {
		a.families[name] = true
	}
	for _, name := range []string{
		"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added",
	} {
		a.families[name] = true // the scraper's own, about the target
	}
	a.foreign, a.owned = a.refused.WithLabelValues("worker"), a.refused.WithLabelValues("family")
	a.long, a.beyond = a.refused.WithLabelValues("labels"), a.refused.WithLabelValues("series")
	reg.MustRegister(a.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stackscope_prometheus_max_series",
		Help: "Series in the head of the embedded Prometheus from which on new ones are refused; 0 is no limit.",
	}, func() float64 { return float64(a.maxSeries) }))
	return a
}

// maxSeries returns the ceiling: what was asked for, or what half of the process' memory has room for.
func maxSeries(asked int64, limit memory.Bound) uint64 {
	if asked > 0 {
		return uint64(asked)
	}
	return uint64(max(cmp.Or(limit.Bytes, assumedMemory), 0)) / 2 / bytesPerSeries
}

// guardedAppends stores what is scraped, in the bounds that cutoff, space and admission set.
type guardedAppends struct {
	storage.AppendableV2
	cutoff *cutoff
	around *surroundings
	series func() uint64 // in the head
}

// AppenderV2 implements storage.AppendableV2, once a scrape.
func (g guardedAppends) AppenderV2(ctx context.Context) storage.AppenderV2 {
	if g.around.space != nil && !g.around.space.enough(g.series()) {
		return unstored{g.around.health}
	}
	app := g.AppendableV2.AppenderV2(ctx)
	a := &guardedAppender{AppenderV2: app, cutoff: g.cutoff, around: g.around, series: g.series, worker: true}
	a.refs, _ = app.(storage.GetRef)
	if t, ok := scrape.TargetFromContext(ctx); ok {
		a.worker = t.GetValue(model.JobLabel) == JobWorkers
		if a.worker {
			a.from = g.around.admission.source(t)
			a.settled = a.from.settled()
		}
	}
	return a
}

type guardedAppender struct {
	storage.AppenderV2
	cutoff *cutoff
	around *surroundings
	series func() uint64
	refs   storage.GetRef // nil: can't say whether a series is there

	worker  bool // the target is a worker
	from    source
	settled bool // what the scraper remembers was looked at
	out     lookOut
}

// Append implements storage.AppenderV2. A refused sample gets no error, as the scraper would log it with words that don't fit, and
// no reference, so that it is looked at again.
func (a *guardedAppender) Append(
	ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AppendV2Options,
) (storage.SeriesRef, error) {
	switch {
	case !a.worker || value.IsStaleNaN(v) && ref != 0:
	case scraperOwn(o):
		if !a.settled && o.MetricFamilyName == samplesScraped {
			a.out.scraped = int(v)
		}
	case ref == 0:
		a.out.samples++
		if refused := a.refuse(ls); refused != nil {
			refused.Inc()
			return 0, nil
		}
	case !a.settled:
		a.out.samples++
		if !a.from.has(ls) {
			a.stop(ref, ls, t)
			return 0, nil
		}
	}
	return a.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
}

// scraperOwn tells up and its like from samples of the page: the scraper marks their names with a byte that no name has.
func scraperOwn(o storage.AppendV2Options) bool { return strings.HasSuffix(o.MetricFamilyName, "\xff") }

// refuse returns what counts the refusal of a series that this target had not, nil when it may be there.
func (a *guardedAppender) refuse(ls labels.Labels) prometheus.Counter {
	adm := a.around.admission
	switch name := ls.Get(model.MetricNameLabel); {
	case adm.families[name], strings.HasPrefix(name, "prometheus_"), strings.HasPrefix(name, "net_conntrack_"):
		return adm.owned // the latter two begin the embedded Prometheus' own
	case !a.from.has(ls):
		return adm.foreign
	case ls.ByteSize() > maxLabelBytes:
		return adm.long
	}
	if adm.maxSeries == 0 || a.series() < adm.maxSeries {
		return nil
	}
	if a.refs != nil {
		if known, _ := a.refs.GetRef(ls, ls.Hash()); known != 0 {
			return nil
		}
	}
	adm.tell(a.series(), ls)
	return adm.beyond
}

// tell logs, now and then, that the ceiling is reached.
func (a *sampleAdmission) tell(series uint64, ls labels.Labels) {
	now, told := time.Now().UnixNano(), a.told.Load()
	if now-told < int64(ceilingInterval) || !a.told.CompareAndSwap(told, now) {
		return
	}
	a.logger.Warn("new series are refused, existing ones continue: look for the metric whose labels change, give the server more memory, "+
		"or raise --builtin-prometheus-max-series", "series", series, "max", a.maxSeries,
		"family", ls.Get(model.MetricNameLabel), "target", ls.Get(model.InstanceLabel))
}

// Commit implements storage.AppenderV2. The scraper only logs its error, for each target: health has told it once.
func (a *guardedAppender) Commit() error {
	a.conclude()
	if a.cutoff.ctx.Err() != nil {
		return a.Rollback()
	}
	a.around.health.committed(a.AppenderV2.Commit())
	return nil
}

// unstored takes samples while the disk is full. It gives references back as they came: the series go on afterwards.
type unstored struct{ health *health }

func (unstored) Append(
	ref storage.SeriesRef, _ labels.Labels, _, _ int64, _ float64, _ *histogram.Histogram, _ *histogram.FloatHistogram, _ storage.AppendV2Options,
) (storage.SeriesRef, error) {
	return ref, nil
}

func (u unstored) Commit() error {
	u.health.unsaved.Inc()
	return nil
}

func (unstored) Rollback() error { return nil }
