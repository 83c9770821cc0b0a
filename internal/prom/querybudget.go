package prom

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"

	"github.com/stackscope/stackscope/internal/prom/budget"
)

// Bounds of requests that wait for memory.
const (
	waitingPerClass = 64
	// readSampleBytes is the memory of a sample in remote read: decoded, as protobuf, and compressed.
	readSampleBytes = 128
)

// queryBudget is the memory budget of everything that reads samples: users' queries, rules, listings, federation and remote read.
type queryBudget struct {
	sizes    sizes
	timeout  time.Duration
	users    *queries
	rules    *queries
	listings *budget.Pool // of requests that no query engine runs
	answers  *budget.Account
	waits    prometheus.Histogram
	restarts prometheus.Counter
}

func newQueryBudget(s sizes, active promql.QueryTracker, opts promql.EngineOpts) *queryBudget {
	b := &queryBudget{
		sizes: s, timeout: opts.Timeout, answers: budget.NewAccount(s.answers()),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "stackscope_query_wait_seconds",
			Help:    "Time that queries waited for memory.",
			Buckets: []float64{.001, .01, .1, 1, 10, 60},
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stackscope_query_restarts_total",
			Help: "Queries that were restarted in a larger class because they needed more memory or time than their class allows.",
		}),
	}
	opts.ActiveQueryTracker = runningQueryTracker{active}
	var pools []*budget.Pool
	for _, class := range s.classes() {
		pools = append(pools, budget.NewPool(class, waitingPerClass))
	}
	rulePool := budget.NewPool(s.rules(), waitingPerClass)
	b.listings = budget.NewPool(s.listings(), waitingPerClass)
	b.users = newQueries(b, pools, opts)
	opts.FeatureRegistry = nil
	b.rules = newQueries(b, []*budget.Pool{rulePool}, opts)
	if opts.Reg != nil {
		opts.Reg.MustRegister(b.waits, b.restarts, newBudgetMetrics(s.total, append(pools, rulePool, b.listings), b.answers))
	}
	return b
}

// reserveListing reserves memory for a request that no query engine runs. It returns the context with which the request must read the
// storage. samples bounds the samples that it reads; 0 is for a request without samples.
func (b *queryBudget) reserveListing(ctx context.Context, samples int64) (*budget.Slot, context.Context, error) {
	slot, err := b.reserve(ctx, b.listings)
	if err != nil {
		return nil, nil, err
	}
	allowed := b.listings.Class().Bytes
	if samples > 0 {
		allowed = b.sizes.seriesBytes(b.listings.Class())
	}
	return slot, withMeter(ctx, &meter{limit: allowed, perSeries: listedBytes, samples: samples}), nil
}

// reserveLarge reserves the memory of a large query for a listing that exceeded its class.
func (b *queryBudget) reserveLarge(ctx context.Context) (*budget.Slot, context.Context, error) {
	pool := b.users.classes[len(b.users.classes)-1].Pool
	slot, err := b.reserve(ctx, pool)
	if err != nil {
		return nil, nil, err
	}
	b.restarts.Inc()
	return slot, withMeter(ctx, &meter{limit: pool.Class().Bytes, perSeries: seriesBytes}), nil
}

// reserve waits for a slot, at most for the query timeout.
func (b *queryBudget) reserve(ctx context.Context, pool *budget.Pool) (*budget.Slot, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	begin := time.Now()
	slot, err := pool.Take(ctx)
	b.waits.Observe(time.Since(begin).Seconds())
	return slot, err
}

// readSamples returns how many samples a remote read request may hold.
func (b *queryBudget) readSamples() int {
	return int(min(int64(b.sizes.maxSamples), b.listings.Class().Bytes*2/3/readSampleBytes))
}
