package prom

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/stackscope/stackscope/internal/prom/guard"
)

// federation answers /federate, which another Prometheus scrapes: the newest sample of each series that a match[] parameter selects.
// It reserves memory of the query budget. Native histograms are omitted; none are scraped.
type federation struct {
	db     storage.Queryable
	parser *guard.Parser
	budget *queryBudget
	logger *slog.Logger
}

type sample struct {
	labels labels.Labels
	millis int64
	value  float64
}

func (f *federation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	selectors := r.Form["match[]"]
	parsed, err := f.parser.PrepareSelectors(r.Context(), selectors)
	if err != nil {
		writeRefusal(w, err)
		return
	}
	defer parsed()
	matchers, err := f.parser.ParseMetricSelectors(selectors)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := time.Now()
	hints := &storage.SelectHints{Start: timestamp.FromTime(now.Add(-queryLookback)), End: timestamp.FromTime(now)}
	slot, ctx, err := f.budget.reserveListing(r.Context(), 0)
	if err != nil {
		writeRefusal(w, err)
		return
	}
	samples, done, err := f.newestMatching(ctx, hints, matchers)
	if _, tooMany := errors.AsType[promql.ErrTooManySamples](err); tooMany {
		slot.Release()
		if slot, ctx, err = f.budget.reserveLarge(r.Context()); err != nil {
			writeRefusal(w, err)
			return
		}
		samples, done, err = f.newestMatching(ctx, hints, matchers)
	}
	defer slot.Release()
	if err != nil {
		status := http.StatusInternalServerError
		if _, tooMany := errors.AsType[promql.ErrTooManySamples](err); tooMany {
			status = http.StatusUnprocessableEntity
		}
		http.Error(w, err.Error(), status)
		return
	}
	defer done() // only after the labels have been written: they point into the querier's memory

	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	encoder := expfmt.NewEncoder(w, format)
	for len(samples) > 0 {
		name := samples[0].labels.Get(model.MetricNameLabel)
		n := slices.IndexFunc(samples, func(s sample) bool { return s.labels.Get(model.MetricNameLabel) != name })
		if n < 0 {
			n = len(samples)
		}
		if err := encoder.Encode(metricFamily(name, samples[:n])); err != nil {
			f.logger.Debug("federation response was not written completely", "error", err)
			return
		}
		samples = samples[n:]
	}
}

// newestMatching returns the newest sample of each matching series, and the function that closes their querier.
func (f *federation) newestMatching(ctx context.Context, hints *storage.SelectHints, matchers [][]*labels.Matcher) ([]sample, func(), error) {
	querier, err := f.db.Querier(hints.Start, hints.End)
	if err != nil {
		return nil, nil, err
	}
	done := func() { _ = querier.Close() }
	sets := make([]storage.SeriesSet, len(matchers))
	for i, m := range matchers {
		sets[i] = querier.Select(ctx, true, hints, m...)
	}
	samples, err := newest(storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge), hints)
	if err != nil {
		done()
		return nil, nil, err
	}
	return samples, done, nil
}

// newest returns the last sample of each series within hints, sorted by name. Stale series are omitted.
func newest(set storage.SeriesSet, hints *storage.SelectHints) ([]sample, error) {
	var (
		samples []sample
		it      chunkenc.Iterator
	)
	for set.Next() {
		series := set.At()
		it = series.Iterator(it)
		last := sample{labels: series.Labels()}
		for kind := it.Seek(hints.Start); kind != chunkenc.ValNone; kind = it.Next() {
			if kind != chunkenc.ValFloat {
				continue
			}
			t, v := it.At()
			if t > hints.End {
				break
			}
			last.millis, last.value = t, v
		}
		if err := it.Err(); err != nil {
			return nil, err
		}
		if last.millis != 0 && !value.IsStaleNaN(last.value) {
			samples = append(samples, last)
		}
	}
	slices.SortStableFunc(samples, func(a, b sample) int {
		return strings.Compare(a.labels.Get(model.MetricNameLabel), b.labels.Get(model.MetricNameLabel))
	})
	return samples, set.Err()
}

func metricFamily(name string, samples []sample) *dto.MetricFamily {
	f := &dto.MetricFamily{Name: &name, Type: dto.MetricType_UNTYPED.Enum()}
	for _, s := range samples {
		m := &dto.Metric{Untyped: &dto.Untyped{Value: &s.value}, TimestampMs: &s.millis}
		s.labels.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel {
				m.Label = append(m.Label, &dto.LabelPair{Name: &l.Name, Value: &l.Value})
			}
		})
		// An empty instance label keeps the scraping Prometheus from adding this server's to series without one.
		if !s.labels.Has(model.InstanceLabel) {
			m.Label = append(m.Label, &dto.LabelPair{Name: new(model.InstanceLabel), Value: new("")})
		}
		f.Metric = append(f.Metric, m)
	}
	return f
}
