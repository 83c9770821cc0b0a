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

// The measured memory per sample that the query engine counts; TestReservationsCoverQueries checks it. The engine counts each point
// once, but copies it and writes it as JSON.
const (
	sampleBytes = 144
	// countedValueBytes is the memory of a sample that count_values turns into a series, without the points that the engine
	// preallocates.
	countedValueBytes = 768
	// stepBytes is the memory of each step of a subquery.
	stepBytes = 16
	// labelCopies is the number of simultaneous copies of the label text that an expression writes, response included.
	labelCopies = labelByteFactor
)

// queries is the query engine of the API and of the rules. Each query starts in the smallest class and is restarted in a larger one if it
// exceeds its class, so that a small query never waits for a large one.
type queries struct {
	budget     *queryBudget
	opts       promql.EngineOpts // of all engines, without MaxSamples
	classes    []*queryClass
	classCache *classCache
}

type queryClass struct {
	*budget.Pool
	engine     *promql.Engine
	maxSamples int
	timeout    time.Duration
}

// newQueries returns the engine for pools of classes, smallest first.
func newQueries(b *queryBudget, pools []*budget.Pool, opts promql.EngineOpts) *queries {
	q := &queries{budget: b, opts: opts, classCache: newClassCache()}
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
			o.FeatureRegistry = nil // the first engine has registered the features
		}
		class.engine = promql.NewEngine(o)
		q.classes = append(q.classes, class)
	}
	return q
}

// classTimeouts are the timeouts of all classes but the largest. A query that exceeds one is restarted in the next class.
var classTimeouts = []time.Duration{5 * time.Second, 30 * time.Second}

// runningQueryTracker is the active query tracker of the engines. It tracks queries only while they run, not while they are parsed.
type runningQueryTracker struct{ promql.QueryTracker }

type runningKey struct{}

const notLogged = -1

func (t runningQueryTracker) Insert(ctx context.Context, query string) (int, error) {
	if ctx.Value(runningKey{}) == nil {
		return notLogged, nil
	}
	return t.QueryTracker.Insert(ctx, query)
}

func (t runningQueryTracker) Delete(index int) {
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
	b := &budgetedQuery{queries: q, prepare: prepare, text: first.String(), stmt: first.Statement(), current: first}
	if s, ok := b.stmt.(*parser.EvalStmt); ok {
		if b.cost, err = estimateCost(s); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// budgetedQuery is a query that reserves its memory from the budget. As with the engine's own queries, only Cancel may be called by
// other goroutines.
type budgetedQuery struct {
	queries *queries
	prepare func(*promql.Engine) (promql.Query, error)
	text    string
	stmt    parser.Statement
	cost    queryCost
	current promql.Query // of the current class
	ran     bool         // current has run
	open    bool         // current has run and is not closed
	slot    *budget.Slot
	held    *budget.Amount // the response's memory after the slot is released
	cancel  atomic.Pointer[context.CancelFunc]
}

var (
	_ promql.QueryEngine = (*queries)(nil)
	_ promql.Query       = (*budgetedQuery)(nil)
)

// Exec implements promql.Query. The timeout includes the wait for memory.
func (b *budgetedQuery) Exec(ctx context.Context) *promql.Result {
	requestTimeout := b.requestTimeout(ctx)
	ctx, cancel := context.WithTimeout(ctx, b.queries.opts.Timeout)
	defer cancel()
	b.cancel.Store(&cancel)
	if err := b.cost.checkVisits(); err != nil {
		return &promql.Result{Err: err}
	}
	last := len(b.queries.classes) - 1
	first := b.queries.classCache.lookup(b.text, b.cost.steps)
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
		_, refused := errors.AsType[budgetError](result.Err)
		switch {
		case refused:
			return result
		case i < last && (tooMany || tooLong && ctx.Err() == nil):
			b.queries.budget.restarts.Inc()
			b.queries.classCache.store(b.text, b.cost.steps, i+1)
		case tooMany:
			result.Err = b.queries.budget.sizes.explain(result.Err, class)
			return result
		case tooLong:
			result.Err = b.explainTimeout(result.Err, requestTimeout)
			return result
		default:
			return result
		}
	}
	panic("unreachable: the last class returns")
}

// requestTimeout returns the timeout of the request, 0 if it is not below that of the flag.
func (b *budgetedQuery) requestTimeout(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if left := time.Until(end); ok && left < b.queries.opts.Timeout {
		return left
	}
	return 0
}

// explainTimeout adds to a timeout error which timeout it was and what to do.
func (b *budgetedQuery) explainTimeout(err error, requestTimeout time.Duration) error {
	const advice = "select fewer series, a shorter time range or larger steps"
	if requestTimeout > 0 {
		return fmt.Errorf("%w: the request's timeout was %v; raise it, or %s", err, requestTimeout.Round(time.Millisecond), advice)
	}
	return fmt.Errorf("%w: --builtin-prometheus-query-timeout allows %v; %s", err, b.queries.opts.Timeout, advice)
}

// fits reports whether the query may fit into a class, judged by its text.
func (b *budgetedQuery) fits(c *queryClass) bool {
	return b.cost.subquerySteps*stepBytes <= c.Class().Bytes/4
}

// attempt runs the query in one class.
func (b *budgetedQuery) attempt(ctx context.Context, class *queryClass) *promql.Result {
	if !b.fits(class) {
		return &promql.Result{Err: tooManySamples("its subqueries have %d steps, which alone take more memory than one query may use", b.cost.subquerySteps)}
	}
	slot, err := b.queries.budget.reserve(ctx, class.Pool)
	if err != nil {
		return &promql.Result{Err: asQueryError(err)}
	}
	b.slot = slot
	engine := class.engine
	if b.cost.countValues {
		engine = b.queries.countValuesEngine(class, b.cost)
	}
	if b.ran || engine != b.queries.classes[0].engine {
		// Execution modifies an expression, and an engine runs only queries that it has prepared.
		again, err := b.prepare(engine)
		if err != nil {
			return &promql.Result{Err: err}
		}
		b.current = again
	}
	b.ran, b.open = true, true
	ctx = withMeter(context.WithValue(ctx, runningKey{}, true), &meter{
		limit:       b.queries.budget.sizes.seriesBytes(class.Class()),
		perSeries:   seriesBytes + pointBytes*min(b.cost.steps, preallocatedSteps),
		labelGrowth: labelCopies * b.cost.labelGrowth,
	})
	return b.current.Exec(ctx)
}

// countValuesEngine returns an engine for a query with count_values, which may turn each sample into a series.
func (q *queries) countValuesEngine(class *queryClass, cost queryCost) *promql.Engine {
	o := q.opts
	o.Reg, o.FeatureRegistry = nil, features.Collector(nil)
	o.Timeout = class.timeout
	each := countedValueBytes + pointBytes*min(cost.steps, preallocatedSteps) + labelCopies*cost.labelGrowth
	o.MaxSamples = max(1, int(int64(class.maxSamples)*sampleBytes/each))
	return promql.NewEngine(o)
}

// holdAnswer replaces the slot by a reservation of the response's size if there is room for it, so that a slow reader of a small response
// holds no slot.
func (b *budgetedQuery) holdAnswer(r *promql.Result) {
	if b.held = b.queries.budget.answers.Hold(answerBytes(r)); b.held != nil {
		b.slot.Release()
	}
}

// Close implements promql.Query. It is called when the response has been written.
func (b *budgetedQuery) Close() {
	if b.open {
		b.open = false
		b.current.Close()
	}
	b.slot.Release()
	b.held.Release()
}

// Cancel implements promql.Query.
func (b *budgetedQuery) Cancel() {
	if cancel := b.cancel.Load(); cancel != nil {
		(*cancel)()
	}
}

// Statement implements promql.Query.
func (b *budgetedQuery) Statement() parser.Statement { return b.stmt }

// Stats implements promql.Query.
func (b *budgetedQuery) Stats() *stats.Statistics { return b.current.Stats() }

func (b *budgetedQuery) String() string { return b.text }

// answerBytes returns the maximum memory of a response, including its JSON.
func answerBytes(r *promql.Result) int64 {
	const pointJSON, copies = 48, 3 // a growing buffer exists twice
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

// budgetError is an error of the budget. The API answers it with 503, like a query timeout.
type budgetError struct{ error }

func (e budgetError) Unwrap() error { return e.error }

// As makes errors.As find a promql.ErrQueryTimeout.
func (e budgetError) As(target any) bool {
	t, ok := target.(*promql.ErrQueryTimeout)
	if ok {
		*t = promql.ErrQueryTimeout(e.Error())
	}
	return ok
}

func asQueryError(err error) error {
	if errors.Is(err, context.Canceled) {
		return promql.ErrQueryCanceled("waiting for memory")
	}
	return budgetError{err}
}
