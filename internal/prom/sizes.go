package prom

import (
	"cmp"
	"fmt"
	"log/slog"

	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/prom/budget"
)

const (
	// memoryShare is the part of the process' memory that all queries together may hold.
	memoryShare = 4
	// assumedMemory is the process' memory where none can be read.
	assumedMemory = 4 << 30
	// minClassBytes keeps the smallest class large enough for a dashboard's panel.
	minClassBytes = 1 << 20

	// How many of a class run at once. There are more small ones, as many as --builtin-prometheus-query-max-concurrency allows.
	largeQueries  = 1
	mediumQueries = 3
	ruleQueries   = 1
	listings      = 2
	minQueries    = largeQueries + mediumQueries + 1
)

// MinQueryConcurrency is the least that Options.QueryConcurrency may be: a small query runs beside all medium and large ones.
const MinQueryConcurrency = minQueries

// sizes is how much memory there is for queries, and how it is shared out. Of its 32 parts one large query
// has 16, medium ones 6, small ones 4, what no engine runs 4; rules and answers that are being read have one each.
type sizes struct {
	total      int64  // that all queries may hold
	source     string // of the bound
	maxSamples int    // that the flag allows
	slots      int    // queries of users that run at once
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

// rules is the class of the queries of rules.
func (s sizes) rules() budget.Class {
	return budget.Class{Name: "rules", Bytes: s.total / 32, Slots: ruleQueries}
}

// listings is the class of what reads series without an engine: listings, federation, remote read.
func (s sizes) listings() budget.Class {
	return budget.Class{Name: "listings", Bytes: s.total / 16, Slots: listings}
}

// answers is what finished answers may hold while they are read.
func (s sizes) answers() int64 { return s.total / 32 }

// samples returns how many samples the engine may count in a class; two thirds of it are for them.
func (s sizes) samples(c budget.Class) int {
	return int(min(int64(s.maxSamples), c.Bytes*2/3/sampleBytes))
}

// seriesBytes returns what the series of a query may take.
func (s sizes) seriesBytes(c budget.Class) int64 { return c.Bytes / 3 }

// most returns how many samples the largest query may hold.
func (s sizes) most() int {
	all := s.classes()
	return s.samples(all[len(all)-1])
}

// explain adds to the error of a query that is too large what may be done.
func (s sizes) explain(err error, class *queryClass) error {
	advice := "--builtin-prometheus-query-max-samples is bounded by it: give the server more memory"
	if class.maxSamples == s.maxSamples {
		advice = "--builtin-prometheus-query-max-samples allows no more samples"
	}
	return fmt.Errorf("%w: one query may hold %d samples at once and %d MiB, all queries together %d MiB, a quarter of %s; %s, or select fewer series, a shorter time or larger steps",
		err, class.maxSamples, class.Class().Bytes>>20, s.total>>20, s.source, advice)
}

// log says what was found and what of the options does not fit.
func (s sizes) log(logger *slog.Logger, o Options) {
	logger.Info("memory for queries", "memory", s.total*memoryShare, "source", s.source, "all_queries", s.total,
		"one_query", s.total/2, "max_samples", s.most(), "max_concurrency", s.slots)
	if s.most() < o.QueryMaxSamples && o.QueryMaxSamples != defaultQueryMaxSamples {
		logger.Warn("--builtin-prometheus-query-max-samples does not fit into the memory for one query; the bound is lower",
			"asked", o.QueryMaxSamples, "bound", s.most(), "one_query", s.total/2)
	}
	if s.slots != o.QueryConcurrency {
		logger.Warn("--builtin-prometheus-query-max-concurrency does not fit the memory for queries",
			"asked", o.QueryConcurrency, "bound", s.slots)
	}
}
