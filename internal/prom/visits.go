package prom

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// maxVisits bounds the samples at which a function of a range looks for one series. The engine sees between two series, not
	// between two steps, that nobody waits any more: what passes takes a core a few seconds, as measured.
	maxVisits = 100_000_000
	// sampledEvery is how often series are sampled where most often.
	sampledEvery = 5 * time.Second
)

// visitsPerStep returns at how many samples of a series a function looks in one step; those of costly functions count for more.
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

// rangeSamples returns how many samples a range has, 0 for what is none.
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

// tooLong returns the error of a query that could not be ended in time.
func (w weight) tooLong() error {
	if w.visits <= maxVisits {
		return nil
	}
	return tooMany("the query would look at %.0f samples for each series, those of costly functions counted several times; at most %d are allowed: "+
		"use a larger step, a shorter range, or a larger step in the subquery", w.visits, maxVisits)
}
