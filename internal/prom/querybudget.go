package prom

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"

	"github.com/stackscope/stackscope/internal/prom/budget"
)

// Bounds of what waits for memory.
const (
	waitingPerClass = 64
	// readSampleBytes is what remote read holds of a sample: decoded, as protobuf, and compressed.
	readSampleBytes = 128
)

// queryBudget is the memory of everything that reads samples: users' queries, rules, listings, federation and remote read.
type queryBudget struct {
	sizes   sizes
	timeout time.Duration
	users   *queries
	rules   *queries
	listed  *budget.Pool // of what no engine runs
	answers *budget.Account
	waits   prometheus.Histogram
	moved   prometheus.Counter
}

func newQueryBudget(s sizes, active promql.QueryTracker, opts promql.EngineOpts) *queryBudget {
	b := &queryBudget{
		sizes: s, timeout: opts.Timeout, answers: budget.NewAccount(s.answers()),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "stackscope_query_wait_seconds",
			Help:    "Time that queries waited for memory.",
			Buckets: []float64{.001, .01, .1, 1, 10, 60},
		}),
		moved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stackscope_query_restarts_total",
			Help: "Queries that were restarted in a larger class because they needed more memory or time than their class allows.",
		}),
	}
	opts.ActiveQueryTracker = admitted{active}
	var pools []*budget.Pool
	for _, class := range s.classes() {
		pools = append(pools, budget.NewPool(class, waitingPerClass))
	}
	ruling := budget.NewPool(s.rules(), waitingPerClass)
	b.listed = budget.NewPool(s.listings(), waitingPerClass)
	b.users = newQueries(b, pools, opts)
	opts.FeatureRegistry = nil
	b.rules = newQueries(b, []*budget.Pool{ruling}, opts)
	if opts.Reg != nil {
		opts.Reg.MustRegister(b.waits, b.moved, newBudgetMetrics(s.total, append(pools, ruling, b.listed), b.answers))
	}
	return b
}

// listing takes memory for a request that no engine runs, and returns the context under which it reads the storage. Samples bounds
// how many it reads; 0 is for one that holds none.
func (b *queryBudget) listing(ctx context.Context, samples int64) (*budget.Slot, context.Context, error) {
	slot, err := b.take(ctx, b.listed)
	if err != nil {
		return nil, nil, err
	}
	allowed := b.listed.Class().Bytes
	if samples > 0 {
		allowed = b.sizes.seriesBytes(b.listed.Class())
	}
	return slot, withMeter(ctx, &meter{allowed: allowed, each: listedBytes, samples: samples}), nil
}

// large takes the memory of a large query for a listing that did not fit into its own.
func (b *queryBudget) large(ctx context.Context) (*budget.Slot, context.Context, error) {
	pool := b.users.classes[len(b.users.classes)-1].Pool
	slot, err := b.take(ctx, pool)
	if err != nil {
		return nil, nil, err
	}
	b.moved.Inc()
	return slot, withMeter(ctx, &meter{allowed: pool.Class().Bytes, each: seriesBytes}), nil
}

// take waits for a slot as long as a query may.
func (b *queryBudget) take(ctx context.Context, pool *budget.Pool) (*budget.Slot, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	begin := time.Now()
	slot, err := pool.Take(ctx)
	b.waits.Observe(time.Since(begin).Seconds())
	return slot, err
}

// readSamples is how many samples a request of remote read may hold.
func (b *queryBudget) readSamples() int {
	return int(min(int64(b.sizes.maxSamples), b.listed.Class().Bytes*2/3/readSampleBytes))
}
