package prom

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// maxVisits bounds the samples that a range function reads for one series. The engine checks for cancellation between series, not
	// between steps; within the bound one series takes a few seconds of a core, as measured.
	maxVisits = 100_000_000
	// sampledEvery is the shortest scrape interval.
	sampledEvery = 5 * time.Second
)

// visitsPerStep returns how many samples of a series a function reads in one step. Samples of costly functions count several times.
func visitsPerStep(n *parser.Call) float64 {
	samples := 0.0
	for _, arg := range n.Args {
		samples = max(samples, rangeSamples(arg))
	}
	switch n.Func.Name {
	case "quantile_over_time": // sorts
		return samples * (1 + math.Log2(max(1, samples)))
	case "mad_over_time":
		return samples * 2 * (1 + math.Log2(max(1, samples)))
	case "deriv", "predict_linear", "stddev_over_time", "stdvar_over_time":
		return samples * 2
	}
	return samples
}

// rangeSamples returns how many samples a range vector has per series, 0 for other expressions.
func rangeSamples(e parser.Expr) float64 {
	switch n := e.(type) {
	case *parser.ParenExpr:
		return rangeSamples(n.Expr)
	case *parser.StepInvariantExpr:
		return rangeSamples(n.Expr)
	case *parser.MatrixSelector:
		return 1 + float64(n.Range/sampledEvery)
	case *parser.SubqueryExpr:
		return 1 + float64(n.Range/subqueryStep(n))
	}
	return 0
}

func subqueryStep(n *parser.SubqueryExpr) time.Duration {
	if n.Step <= 0 {
		return scrapeInterval
	}
	return n.Step
}

// checkVisits returns an error for a query that could not be cancelled in time.
func (c queryCost) checkVisits() error {
	if c.visits <= maxVisits {
		return nil
	}
	return tooManySamples("the query would read %.0f samples for each series, those of costly functions counted several times; at most %d are allowed: "+
		"use a larger step, a shorter range, or a larger step in the subquery", c.visits, maxVisits)
}
