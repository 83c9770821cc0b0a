package prom

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// The measured memory of a series: in the structures of the query engine and the storage, and in the response. Labels are copied,
// hashed, joined and written as JSON.
const (
	seriesBytes     = 1024
	listedBytes     = 256 // where no engine runs
	labelByteFactor = 4
)

// meter limits the memory of the series and samples that one request reads from the storage. Only one goroutine at a time uses it.
type meter struct {
	limit       int64 // bytes for series
	perSeries   int64 // bytes of a series without its labels
	labelGrowth int64 // bytes that the request adds to its labels
	samples     int64 // how many may be read; 0: the query engine counts them
	used        int64
	read        int64
	err         error
}

type meterKey struct{}

func withMeter(ctx context.Context, m *meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

// add counts a series.
func (m *meter) add(l labels.Labels) error {
	size := labelBytes(l)
	m.used += m.perSeries + labelByteFactor*size + m.labelGrowth*(1+size/1024)
	if m.used > m.limit && m.err == nil {
		m.err = tooManySamples("the selected series, with their labels, would take more than %d MiB: select fewer series or a shorter time range", m.limit>>20)
	}
	return m.err
}

func labelBytes(l labels.Labels) int64 { return int64(l.ByteSize()) }

// tooManyError is a promql.ErrTooManySamples with another message.
type tooManyError string

func tooManySamples(format string, args ...any) error {
	return tooManyError(fmt.Sprintf(format, args...))
}

func (e tooManyError) Error() string { return string(e) }

// As makes errors.As find a promql.ErrTooManySamples.
func (e tooManyError) As(target any) bool {
	t, ok := target.(*promql.ErrTooManySamples)
	if ok {
		*t = promql.ErrTooManySamples(e)
	}
	return ok
}

// metered is a storage that counts series and samples under a context with a meter.
type metered struct {
	storage.SampleAndChunkQueryable
}

func (s metered) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := s.SampleAndChunkQueryable.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return meteredQuerier{q}, nil
}

type meteredQuerier struct{ storage.Querier }

func (q meteredQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	set := q.Querier.Select(ctx, sorted, hints, matchers...)
	if m, ok := ctx.Value(meterKey{}).(*meter); ok {
		return &meteredSet{SeriesSet: set, meter: m}
	}
	return set
}

type meteredSet struct {
	storage.SeriesSet
	meter *meter
	err   error
}

func (s *meteredSet) Next() bool {
	if s.err != nil || !s.SeriesSet.Next() {
		return false
	}
	s.err = s.meter.add(s.SeriesSet.At().Labels())
	return s.err == nil
}

func (s *meteredSet) At() storage.Series {
	if s.meter.samples == 0 {
		return s.SeriesSet.At()
	}
	return meteredSeries{s.SeriesSet.At(), s.meter}
}

func (s *meteredSet) Err() error {
	if s.err != nil {
		return s.err
	}
	return s.SeriesSet.Err()
}

// meteredSeries counts the samples of requests that no query engine runs.
type meteredSeries struct {
	storage.Series
	meter *meter
}

func (s meteredSeries) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	if old, ok := it.(*meteredIterator); ok {
		old.Iterator, old.err = s.Series.Iterator(old.Iterator), nil
		return old
	}
	return &meteredIterator{Iterator: s.Series.Iterator(it), meter: s.meter}
}

type meteredIterator struct {
	chunkenc.Iterator
	meter *meter
	err   error
}

func (i *meteredIterator) Next() chunkenc.ValueType {
	if i.err != nil {
		return chunkenc.ValNone
	}
	kind := i.Iterator.Next()
	if kind == chunkenc.ValNone {
		return kind
	}
	if i.meter.read++; i.meter.read > i.meter.samples {
		i.err = tooManySamples("more than %d samples would be read at once: select fewer series or a shorter time range", i.meter.samples)
		return chunkenc.ValNone
	}
	return kind
}

func (i *meteredIterator) Err() error {
	if i.err != nil {
		return i.err
	}
	return i.Iterator.Err()
}
