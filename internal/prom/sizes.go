package prom

import (
	"cmp"
	"fmt"
	"log/slog"

	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/prom/budget"
)

const (
	// memoryShare is the divisor of the process' memory that gives the memory of all queries together.
	memoryShare = 4
	// assumedMemory is the process' memory if the system doesn't say.
	assumedMemory = 4 << 30
	// minClassBytes keeps the smallest class large enough for a dashboard's panel.
	minClassBytes = 1 << 20

	// Concurrent queries of each class. --builtin-prometheus-query-max-concurrency sets that of small ones.
	largeQueries  = 1
	mediumQueries = 3
	ruleQueries   = 1
	listings      = 2
	minQueries    = largeQueries + mediumQueries + 1
)

// MinQueryConcurrency is the minimum of Options.QueryConcurrency: one small query beside all medium and large ones.
const MinQueryConcurrency = minQueries

// sizes is the memory for queries and its division. Of 32 parts the large query has 16, medium ones 6, small ones 4, and requests that no
// query engine runs 4; rules and responses that clients are reading have one each.
type sizes struct {
	total      int64  // memory of all queries
	source     string // where the process' memory limit comes from
	maxSamples int    // limit of the flag
	slots      int    // users' queries that run at once
}

func newSizes(limit memory.Bound, o Options) sizes {
	limit = memory.Bound{Bytes: cmp.Or(limit.Bytes, assumedMemory), Source: cmp.Or(limit.Source, "an assumed limit")}
	s := sizes{total: limit.Bytes / memoryShare, source: limit.Source, maxSamples: o.QueryMaxSamples}
	s.slots = max(minQueries, min(o.QueryConcurrency, minQueries-1+int(s.total/8/minClassBytes)))
	return s
}

// classes returns the classes of users' queries, smallest first.
func (s sizes) classes() []budget.Class {
	small := s.slots - largeQueries - mediumQueries
	return []budget.Class{
		{Name: "small", Bytes: s.total / 8 / int64(small), Slots: small},
		{Name: "medium", Bytes: s.total / 16, Slots: mediumQueries},
		{Name: "large", Bytes: s.total / 2, Slots: largeQueries},
	}
}

// rules is the class of rule queries.
func (s sizes) rules() budget.Class {
	return budget.Class{Name: "rules", Bytes: s.total / 32, Slots: ruleQueries}
}

// listings is the class of requests that no query engine runs: listings, federation, remote read.
func (s sizes) listings() budget.Class {
	return budget.Class{Name: "listings", Bytes: s.total / 16, Slots: listings}
}

// answers returns the memory of finished responses that clients are reading.
func (s sizes) answers() int64 { return s.total / 32 }

// samples returns the engine's sample limit in a class. Two thirds of the class are for samples.
func (s sizes) samples(c budget.Class) int {
	return int(min(int64(s.maxSamples), c.Bytes*2/3/sampleBytes))
}

// seriesBytes returns the memory for the series of a query, the other third of its class.
func (s sizes) seriesBytes(c budget.Class) int64 { return c.Bytes / 3 }

// maxSamplesPerQuery returns the sample limit of the largest query.
func (s sizes) maxSamplesPerQuery() int {
	all := s.classes()
	return s.samples(all[len(all)-1])
}

// explain adds the limits and the remedy to the error of a query that is too large.
func (s sizes) explain(err error, class *queryClass) error {
	advice := "--builtin-prometheus-query-max-samples is bounded by it: give the server more memory"
	if class.maxSamples == s.maxSamples {
		advice = "--builtin-prometheus-query-max-samples allows no more samples"
	}
	return fmt.Errorf("%w: one query may hold %d samples at once and %d MiB, all queries together %d MiB, a quarter of %s; %s, or select fewer series, a shorter time range or larger steps",
		err, class.maxSamples, class.Class().Bytes>>20, s.total>>20, s.source, advice)
}

// log logs the memory for queries, and warns about options that it bounds.
func (s sizes) log(logger *slog.Logger, o Options) {
	logger.Info("memory for queries", "memory", s.total*memoryShare, "source", s.source, "all_queries", s.total,
		"one_query", s.total/2, "max_samples", s.maxSamplesPerQuery(), "max_concurrency", s.slots)
	if s.maxSamplesPerQuery() < o.QueryMaxSamples && o.QueryMaxSamples != defaultQueryMaxSamples {
		logger.Warn("--builtin-prometheus-query-max-samples does not fit into the memory for one query; the bound is lower",
			"asked", o.QueryMaxSamples, "bound", s.maxSamplesPerQuery(), "one_query", s.total/2)
	}
	if s.slots != o.QueryConcurrency {
		logger.Warn("--builtin-prometheus-query-max-concurrency does not fit the memory for queries",
			"asked", o.QueryConcurrency, "bound", s.slots)
	}
}
