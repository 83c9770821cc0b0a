package prom

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// assumedValueBytes is the assumed length of a label value that an expression copies.
	assumedValueBytes = 256
	// maxLabelGrowth bounds the bytes that an expression may write into the labels of one series: each nested label_replace can
	// double them.
	maxLabelGrowth = 16 << 10
	// preallocatedSteps is how many points the engine allocates at most for each series of a range query, even if it has fewer.
	preallocatedSteps = 5000
	pointBytes        = 16
)

// queryCost is the cost of a query, estimated from its text.
type queryCost struct {
	steps         int64   // largest number of steps of any part
	subquerySteps int64   // steps of all subqueries
	labelGrowth   int64   // bytes written into the labels of one series
	countValues   bool    // has count_values: each sample may become a series
	visits        float64 // largest number of samples that a range function reads for one series
}

// scope is the time span and the steps of an expression's evaluation.
type scope struct {
	span  time.Duration
	steps int64
}

// estimateCost estimates the cost of a prepared statement.
func estimateCost(s *parser.EvalStmt) (queryCost, error) {
	c := queryCost{steps: 1}
	if s.Interval > 0 {
		c.steps = int64(s.End.Sub(s.Start)/s.Interval) + 1
	}
	c.labelGrowth, _ = c.walk(s.Expr, scope{s.End.Sub(s.Start), c.steps})
	if c.labelGrowth > maxLabelGrowth {
		return c, fmt.Errorf("label_replace and label_join would write %d bytes into the labels of a series, at most %d are allowed: "+
			"use shorter texts, and do not nest them so deeply", c.labelGrowth, maxLabelGrowth)
	}
	return c, nil
}

// walk returns how many bytes an expression adds to the labels of a series, and the length of the longest label value.
func (c *queryCost) walk(e parser.Expr, in scope) (growth, longest int64) {
	switch n := e.(type) {
	case *parser.StepInvariantExpr:
		return c.walk(n.Expr, scope{0, 1})
	case *parser.ParenExpr:
		return c.walk(n.Expr, in)
	case *parser.UnaryExpr:
		return c.walk(n.Expr, in)
	case *parser.SubqueryExpr:
		if n.Timestamp != nil {
			in.span = 0
		}
		in.span += n.Range
		in.steps = int64(in.span/subqueryStep(n)) + 1
		c.steps = max(c.steps, in.steps)
		c.subquerySteps += in.steps
		return c.walk(n.Expr, in)
	case *parser.AggregateExpr:
		c.countValues = c.countValues || n.Op == parser.COUNT_VALUES
		growth, longest = c.walk(n.Expr, in)
		if n.Param != nil {
			c.walk(n.Param, in)
		}
		return growth, longest
	case *parser.BinaryExpr:
		left, leftLongest := c.walk(n.LHS, in)
		right, rightLongest := c.walk(n.RHS, in)
		longest = max(leftLongest, rightLongest)
		if n.Op.IsSetOperator() {
			return max(left, right), longest // a series comes from one side
		}
		return saturated(left + right), longest
	case *parser.Call:
		return c.walkCall(n, in)
	}
	return 0, assumedValueBytes
}

func (c *queryCost) walkCall(n *parser.Call, in scope) (growth, longest int64) {
	longest = assumedValueBytes
	c.visits = max(c.visits, float64(in.steps)*visitsPerStep(n))
	for _, arg := range n.Args {
		g, l := c.walk(arg, in)
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

// literal returns the text of a string literal, which may be in parentheses; "" for other expressions.
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

// saturated limits n, so that sums and products don't overflow.
func saturated(n int64) int64 { return min(n, 1<<40) }
