package prom

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/stackscope/stackscope/internal/prom/budget"
)

// What the engine's count of samples costs in memory, as measured: TestReservationsCoverQueries holds it. It counts only points, and
// not each copy; the answer as JSON takes more than the points themselves.
const (
	sampleBytes = 144
	// countedValueBytes is a sample of which count_values makes a series, without the points that the engine makes room for.
	countedValueBytes = 768
	// stepBytes is what the engine keeps of each step of a subquery.
	stepBytes = 16
	// labelCopies is how often what an expression writes into labels is there at once, with the answer.
	labelCopies = labelByteFactor
)

// queries is the engine that the API and the rules ask. Each query begins in the smallest class and moves up when it turns out to
// be larger than its class, so that a small one never waits for a large one.
type queries struct {
	budget  *queryBudget
	opts    promql.EngineOpts // of all engines, without MaxSamples
	classes []*queryClass
	known   *remembered
}

type queryClass struct {
	*budget.Pool
	engine     *promql.Engine
	maxSamples int
	timeout    time.Duration
}

// newQueries returns the engine for pools of classes, smallest first.
func newQueries(b *queryBudget, pools []*budget.Pool, opts promql.EngineOpts) *queries {
	q := &queries{budget: b, opts: opts, known: newRemembered()}
	reg := opts.Reg
	for i, pool := range pools {
		class := &queryClass{Pool: pool, maxSamples: b.sizes.samples(pool.Class()), timeout: opts.Timeout}
		if i < len(pools)-1 {
			class.timeout = min(opts.Timeout, classTimeouts[i])
		}
		o := opts
		o.MaxSamples, o.Timeout = class.maxSamples, class.timeout
		if reg != nil {
			o.Reg = prometheus.WrapRegistererWith(prometheus.Labels{"class": pool.Class().Name}, reg)
		}
		if i > 0 {
			o.FeatureRegistry = nil // it has been told by the first
		}
		class.engine = promql.NewEngine(o)
		q.classes = append(q.classes, class)
	}
	return q
}

// classTimeouts are how long a query may take before it makes room for others of its class.
var classTimeouts = []time.Duration{5 * time.Second, 30 * time.Second}

// admitted is the log of running queries as engines see it. A query is logged while it runs; parsing takes no place in it.
type admitted struct{ promql.QueryTracker }

type admittedKey struct{}

const notLogged = -1

func (t admitted) Insert(ctx context.Context, query string) (int, error) {
	if ctx.Value(admittedKey{}) == nil {
		return notLogged, nil
	}
	return t.QueryTracker.Insert(ctx, query)
}

func (t admitted) Delete(index int) {
	if index != notLogged {
		t.QueryTracker.Delete(index)
	}
}

// NewInstantQuery implements promql.QueryEngine.
func (q *queries) NewInstantQuery(ctx context.Context, db storage.Queryable, opts promql.QueryOpts, text string, at time.Time) (promql.Query, error) {
	return q.newQuery(func(e *promql.Engine) (promql.Query, error) { return e.NewInstantQuery(ctx, db, opts, text, at) })
}

// NewRangeQuery implements promql.QueryEngine.
func (q *queries) NewRangeQuery(ctx context.Context, db storage.Queryable, opts promql.QueryOpts, text string, start, end time.Time, step time.Duration) (promql.Query, error) {
	return q.newQuery(func(e *promql.Engine) (promql.Query, error) {
		return e.NewRangeQuery(ctx, db, opts, text, start, end, step)
	})
}

func (q *queries) newQuery(prepare func(*promql.Engine) (promql.Query, error)) (promql.Query, error) {
	first, err := prepare(q.classes[0].engine)
	if err != nil {
		return nil, err
	}
	b := &budgeted{queries: q, prepare: prepare, text: first.String(), stmt: first.Statement(), current: first}
	if s, ok := b.stmt.(*parser.EvalStmt); ok {
		if b.weight, err = weigh(s); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// budgeted is a query that takes its memory from the budget. As with the engine's own, one goroutine uses it; only Cancel may come
// from others.
type budgeted struct {
	queries *queries
	prepare func(*promql.Engine) (promql.Query, error)
	text    string
	stmt    parser.Statement
	weight  weight
	current promql.Query // of the class that it is in
	ran     bool         // current has run
	open    bool         // and its result is not given back yet
	slot    *budget.Slot
	held    *budget.Amount // what of the answer is held without a slot
	cancel  atomic.Pointer[context.CancelFunc]
}

var (
	_ promql.QueryEngine = (*queries)(nil)
	_ promql.Query       = (*budgeted)(nil)
)

// Exec implements promql.Query. The time for waiting counts.
func (b *budgeted) Exec(ctx context.Context) *promql.Result {
	asked := b.asked(ctx)
	ctx, cancel := context.WithTimeout(ctx, b.queries.opts.Timeout)
	defer cancel()
	b.cancel.Store(&cancel)
	if err := b.weight.tooLong(); err != nil {
		return &promql.Result{Err: err}
	}
	last := len(b.queries.classes) - 1
	first := b.queries.known.class(b.text, b.weight.steps)
	for i, class := range b.queries.classes {
		if i < last && (i < first || !b.fits(class)) {
			continue
		}
		result := b.attempt(ctx, class)
		if result.Err == nil {
			b.holdAnswer(result)
			return result
		}
		b.Close()
		_, tooMany := errors.AsType[promql.ErrTooManySamples](result.Err)
		_, tooLong := errors.AsType[promql.ErrQueryTimeout](result.Err)
		_, refused := errors.AsType[refusal](result.Err)
		switch {
		case refused:
			return result
		case i < last && (tooMany || tooLong && ctx.Err() == nil):
			b.queries.budget.moved.Inc()
			b.queries.known.moved(b.text, b.weight.steps, i+1)
		case tooMany:
			result.Err = b.queries.budget.sizes.explain(result.Err, class)
			return result
		case tooLong:
			result.Err = b.explainTimeout(result.Err, asked)
			return result
		default:
			return result
		}
	}
	panic("unreachable: the last class returns")
}

// asked returns how long the query may take by its request, 0 where that is no less than the flag allows.
func (b *budgeted) asked(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if left := time.Until(end); ok && left < b.queries.opts.Timeout {
		return left
	}
	return 0
}

// explainTimeout adds to the error of a query that took too long what bounded it.
func (b *budgeted) explainTimeout(err error, asked time.Duration) error {
	const advice = "select fewer series, a shorter time or larger steps"
	if asked > 0 {
		return fmt.Errorf("%w: the request's timeout was %v; give it more, or %s", err, asked.Round(time.Millisecond), advice)
	}
	return fmt.Errorf("%w: --builtin-prometheus-query-timeout allows %v; %s", err, b.queries.opts.Timeout, advice)
}

// fits tells whether the query may fit into a class, as far as its text says.
func (b *budgeted) fits(c *queryClass) bool {
	return b.weight.subquerySteps*stepBytes <= c.Class().Bytes/4
}

// attempt runs the query in one class.
func (b *budgeted) attempt(ctx context.Context, class *queryClass) *promql.Result {
	if !b.fits(class) {
		return &promql.Result{Err: tooMany("its subqueries have %d steps, which alone take more memory than a query may use", b.weight.subquerySteps)}
	}
	slot, err := b.queries.budget.take(ctx, class.Pool)
	if err != nil {
		return &promql.Result{Err: refused(err)}
	}
	b.slot = slot
	engine := class.engine
	if b.weight.countValues {
		engine = b.queries.countingValues(class, b.weight)
	}
	if b.ran || engine != b.queries.classes[0].engine {
		// Running changes an expression, and an engine runs only what it has prepared.
		again, err := b.prepare(engine)
		if err != nil {
			return &promql.Result{Err: err}
		}
		b.current = again
	}
	b.ran, b.open = true, true
	ctx = withMeter(context.WithValue(ctx, admittedKey{}, true), &meter{
		allowed: b.queries.budget.sizes.seriesBytes(class.Class()),
		each:    seriesBytes + pointBytes*min(b.weight.steps, preallocatedSteps),
		grows:   labelCopies * b.weight.labelGrowth,
	})
	return b.current.Exec(ctx)
}

// countingValues returns an engine for a query of which each sample may become a series.
func (q *queries) countingValues(class *queryClass, w weight) *promql.Engine {
	o := q.opts
	o.Reg, o.FeatureRegistry = nil, features.Collector(nil)
	o.Timeout = class.timeout
	each := countedValueBytes + pointBytes*min(w.steps, preallocatedSteps) + labelCopies*w.labelGrowth
	o.MaxSamples = max(1, int(int64(class.maxSamples)*sampleBytes/each))
	return promql.NewEngine(o)
}

// holdAnswer gives the slot back when the answer is small: it may take its reader long.
func (b *budgeted) holdAnswer(r *promql.Result) {
	if b.held = b.queries.budget.answers.Hold(answerBytes(r)); b.held != nil {
		b.slot.Release()
	}
}

// Close implements promql.Query: the answer has been written.
func (b *budgeted) Close() {
	if b.open {
		b.open = false
		b.current.Close()
	}
	b.slot.Release()
	b.held.Release()
}

// Cancel implements promql.Query.
func (b *budgeted) Cancel() {
	if cancel := b.cancel.Load(); cancel != nil {
		(*cancel)()
	}
}

// Statement implements promql.Query.
func (b *budgeted) Statement() parser.Statement { return b.stmt }

// Stats implements promql.Query.
func (b *budgeted) Stats() *stats.Statistics { return b.current.Stats() }

func (b *budgeted) String() string { return b.text }

// answerBytes is what an answer takes at most, with its JSON.
func answerBytes(r *promql.Result) int64 {
	const pointJSON, copies = 48, 3 // a buffer that grows is there twice
	size := func(metric uint64) int64 { return seriesBytes/4 + int64(metric)*(1+copies) }
	var n int64
	switch v := r.Value.(type) {
	case promql.Matrix:
		for _, s := range v {
			n += size(s.Metric.ByteSize()) + int64(cap(s.Floats))*pointBytes + int64(len(s.Floats))*pointJSON*copies
			for _, h := range s.Histograms {
				n += int64(h.H.Size()) * (1 + copies)
			}
		}
	case promql.Vector:
		for _, s := range v {
			n += size(s.Metric.ByteSize()) + pointJSON*copies
			if s.H != nil {
				n += int64(s.H.Size()) * (1 + copies)
			}
		}
	case promql.String:
		n = int64(len(v.V)) * (1 + copies)
	}
	return n
}

// refusal is an error of the budget that the API answers as it does a timeout: with 503.
type refusal struct{ error }

func (e refusal) Unwrap() error { return e.error }

// As makes it a timeout to those who look for the engine's.
func (e refusal) As(target any) bool {
	t, ok := target.(*promql.ErrQueryTimeout)
	if ok {
		*t = promql.ErrQueryTimeout(e.Error())
	}
	return ok
}

func refused(err error) error {
	if errors.Is(err, context.Canceled) {
		return promql.ErrQueryCanceled("waiting for memory")
	}
	return refusal{err}
}
