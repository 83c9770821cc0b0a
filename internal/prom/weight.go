package prom

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// nominalValue is how long a label's value is thought to be where an expression copies it into another one.
	nominalValue = 256
	// maxLabelGrowth bounds the bytes that an expression may write into the labels of one series: label_replace in
	// label_replace would double them each time.
	maxLabelGrowth = 16 << 10
	// preallocatedSteps is how many points the engine makes room for in each series of a range, however few there are.
	preallocatedSteps = 5000
	pointBytes        = 16
)

// weight is what of a query's cost is plain from its text.
type weight struct {
	steps         int64   // most points of time at which a part is evaluated
	subquerySteps int64   // those of all subqueries
	labelGrowth   int64   // bytes that are written into the labels of one series
	countValues   bool    // values become labels: each sample may become a series
	visits        float64 // most samples at which a function of a range looks for one series
}

// scope is where an expression is evaluated.
type scope struct {
	span  time.Duration
	steps int64
}

// weigh looks at an expression that the engine has prepared.
func weigh(s *parser.EvalStmt) (weight, error) {
	w := weight{steps: 1}
	if s.Interval > 0 {
		w.steps = int64(s.End.Sub(s.Start)/s.Interval) + 1
	}
	w.labelGrowth, _ = w.walk(s.Expr, scope{s.End.Sub(s.Start), w.steps})
	if w.labelGrowth > maxLabelGrowth {
		return w, fmt.Errorf("label_replace and label_join would write %d bytes into the labels of a series, at most %d are allowed: "+
			"use shorter texts, and do not nest them so deeply", w.labelGrowth, maxLabelGrowth)
	}
	return w, nil
}

// walk returns what an expression adds to the labels of a series, and how long the longest value may be.
func (w *weight) walk(e parser.Expr, in scope) (growth, longest int64) {
	switch n := e.(type) {
	case *parser.StepInvariantExpr:
		return w.walk(n.Expr, scope{0, 1})
	case *parser.ParenExpr:
		return w.walk(n.Expr, in)
	case *parser.UnaryExpr:
		return w.walk(n.Expr, in)
	case *parser.SubqueryExpr:
		if n.Timestamp != nil {
			in.span = 0
		}
		in.span += n.Range
		in.steps = int64(in.span/subqueryStep(n)) + 1
		w.steps = max(w.steps, in.steps)
		w.subquerySteps += in.steps
		return w.walk(n.Expr, in)
	case *parser.AggregateExpr:
		w.countValues = w.countValues || n.Op == parser.COUNT_VALUES
		growth, longest = w.walk(n.Expr, in)
		if n.Param != nil {
			w.walk(n.Param, in)
		}
		return growth, longest
	case *parser.BinaryExpr:
		left, leftLongest := w.walk(n.LHS, in)
		right, rightLongest := w.walk(n.RHS, in)
		longest = max(leftLongest, rightLongest)
		if n.Op.IsSetOperator() {
			return max(left, right), longest // a series comes from one side
		}
		return saturated(left + right), longest
	case *parser.Call:
		return w.walkCall(n, in)
	}
	return 0, nominalValue
}

func (w *weight) walkCall(n *parser.Call, in scope) (growth, longest int64) {
	longest = nominalValue
	w.visits = max(w.visits, float64(in.steps)*visitsPerStep(n))
	for _, arg := range n.Args {
		g, l := w.walk(arg, in)
		growth, longest = max(growth, g), max(longest, l)
	}
	var written int64
	switch {
	case n.Func.Name == "label_replace" && len(n.Args) == 5:
		written = labelText(n.Args[1]) + labelText(n.Args[2]) + int64(strings.Count(literal(n.Args[2]), "$"))*longest
	case n.Func.Name == "label_join" && len(n.Args) >= 3:
		written = labelText(n.Args[1]) + int64(len(n.Args)-3)*(labelText(n.Args[2])+longest)
	default:
		return growth, longest
	}
	written = saturated(written)
	return saturated(growth + written), max(longest, written)
}

func labelText(e parser.Expr) int64 { return int64(len(literal(e))) }

// literal returns the text of a string, which may stand in brackets.
func literal(e parser.Expr) string {
	for {
		switch n := e.(type) {
		case *parser.StringLiteral:
			return n.Val
		case *parser.ParenExpr:
			e = n.Expr
		case *parser.StepInvariantExpr:
			e = n.Expr
		default:
			return ""
		}
	}
}

// saturated keeps sums and products far from overflow.
func saturated(n int64) int64 { return min(n, 1<<40) }
