package prom

import (
	"fmt"
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
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// federation answers /federate: the newest sample of each series that a match[] parameter selects, for another Prometheus to
// scrape. It takes one of the slots that queries take. Native histograms are left out; none are scraped.
type federation struct {
	db      storage.Queryable
	parser  parser.Parser
	queries promql.QueryTracker
	logger  *slog.Logger
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
	matchers, err := f.parser.ParseMetricSelectors(selectors)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	slot, err := f.queries.Insert(r.Context(), fmt.Sprintf("federate %q", selectors))
	if err != nil {
		http.Error(w, "too many queries at once", http.StatusServiceUnavailable)
		return
	}
	defer f.queries.Delete(slot)

	now := time.Now()
	hints := &storage.SelectHints{Start: timestamp.FromTime(now.Add(-queryLookback)), End: timestamp.FromTime(now)}
	querier, err := f.db.Querier(hints.Start, hints.End)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = querier.Close() }() // after the labels have been written: they lie in its memory
	sets := make([]storage.SeriesSet, len(matchers))
	for i, m := range matchers {
		sets[i] = querier.Select(r.Context(), true, hints, m...)
	}
	samples, err := newest(storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge), hints)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}

	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	encoder := expfmt.NewEncoder(w, format)
	for len(samples) > 0 {
		name := samples[0].labels.Get(model.MetricNameLabel)
		n := slices.IndexFunc(samples, func(s sample) bool { return s.labels.Get(model.MetricNameLabel) != name })
		if n < 0 {
			n = len(samples)
		}
		if err := encoder.Encode(family(name, samples[:n])); err != nil {
			f.logger.Debug("federation ended early", "error", err)
			return
		}
		samples = samples[n:]
	}
}

// newest returns the last sample of each series within hints, sorted by name. Series that have ended are left out.
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

func family(name string, samples []sample) *dto.MetricFamily {
	f := &dto.MetricFamily{Name: &name, Type: dto.MetricType_UNTYPED.Enum()}
	for _, s := range samples {
		m := &dto.Metric{Untyped: &dto.Untyped{Value: &s.value}, TimestampMs: &s.millis}
		s.labels.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel {
				m.Label = append(m.Label, &dto.LabelPair{Name: &l.Name, Value: &l.Value})
			}
		})
		// An empty instance keeps the scraping Prometheus from putting ours into series that have none of their own.
		if !s.labels.Has(model.InstanceLabel) {
			m.Label = append(m.Label, &dto.LabelPair{Name: new(model.InstanceLabel), Value: new("")})
		}
		f.Metric = append(f.Metric, m)
	}
	return f
}
