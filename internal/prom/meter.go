package prom

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// What a series costs in memory, as measured: in the engine's and the storage's structures and in the answer. Its labels are
// copied, hashed, joined and written as JSON.
const (
	seriesBytes     = 1024
	listedBytes     = 256 // where no engine runs
	labelByteFactor = 4
)

// meter counts what one request reads from the storage, against what its class may hold. One goroutine at a time uses it.
type meter struct {
	allowed int64 // bytes for series
	each    int64 // bytes of a series without its labels
	grows   int64 // bytes that the request adds to its labels
	samples int64 // how many may be read; 0 is not counted: the engine does so
	used    int64
	read    int64
	err     error
}

type meterKey struct{}

func withMeter(ctx context.Context, m *meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

// add counts a series.
func (m *meter) add(l labels.Labels) error {
	size := labelBytes(l)
	m.used += m.each + labelByteFactor*size + m.grows*(1+size/1024)
	if m.used > m.allowed && m.err == nil {
		m.err = tooMany("the selected series, with their labels, would take more than %d MiB: select fewer series or ask for a shorter time", m.allowed>>20)
	}
	return m.err
}

func labelBytes(l labels.Labels) int64 { return int64(l.ByteSize()) }

// tooManyError is the engine's own kind of error with a reason of ours.
type tooManyError string

func tooMany(format string, args ...any) error { return tooManyError(fmt.Sprintf(format, args...)) }

func (e tooManyError) Error() string { return string(e) }

// As makes it the engine's error to those who look for that.
func (e tooManyError) As(target any) bool {
	t, ok := target.(*promql.ErrTooManySamples)
	if ok {
		*t = promql.ErrTooManySamples(e)
	}
	return ok
}

// metered is the storage as requests see it. What is read under a context with a meter is counted.
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

// meteredSeries counts the samples that are read where no engine does.
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
		i.err = tooMany("more than %d samples would be read at once: select fewer series or a shorter time", i.meter.samples)
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
