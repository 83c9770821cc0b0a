// Package guard protects the PromQL parser: an expression that is too large is rejected after one scan of its text.
package guard

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// MaxBytes bounds the length of an expression, and of all selectors of a request together.
const MaxBytes = 256 << 10

// Bounds of expressions. The parser's time is quadratic in operators and nesting and linear in the rest; at these bounds it takes some
// tens of milliseconds.
const (
	maxOperators = 3000 // with brackets and modifiers; the largest panel of the dashboards has fewer than 1,200
	maxCommas    = 20_000
	maxNesting   = 200
	// Expressions of up to smallExpr operators and smallBytes bytes are parsed without a slot.
	smallExpr  = 100
	smallBytes = 4 << 10
	maxSlots   = 4
	// maxWaiting bounds the requests that wait for a slot.
	maxWaiting = 64
)

// Parser is the PromQL parser of the API, of federation and of the query engine. It rejects expressions that are too large before it parses
// them, and bounds how many large ones are parsed at once.
type Parser struct {
	parser.Parser
	slots   chan struct{}
	waiting atomic.Int64

	exprs, selectors parsedStore
}

var _ parser.Parser = (*Parser)(nil)

// NewParser returns a PromQL parser without experimental features. Its errors say which bound an expression exceeds and where.
func NewParser() *Parser {
	return &Parser{
		Parser: parser.NewParser(parser.Options{}),
		slots:  make(chan struct{}, min(runtime.GOMAXPROCS(0), maxSlots)),
	}
}

// parseWithinBounds calls parse if the texts together are within the bounds.
func parseWithinBounds[T any](p *Parser, parse func() (T, error), texts ...string) (T, error) {
	size, err := measure(texts)
	if err != nil {
		return *new(T), err
	}
	if size.large() {
		p.slots <- struct{}{}
		defer func() { <-p.slots }()
	}
	return parse()
}

func measure(texts []string) (exprSize, error) {
	var size exprSize
	for i, text := range texts {
		if i > 0 {
			size.operators++ // each selector costs another lookup in the storage
		}
		if err := size.add(text); err != nil {
			return size, err
		}
	}
	return size, nil
}

// ParseExpr implements parser.Parser.
func (p *Parser) ParseExpr(input string) (parser.Expr, error) {
	if ready := p.exprs.take(input); ready != nil {
		return ready.expr, ready.err
	}
	return parseWithinBounds(p, func() (parser.Expr, error) { return p.Parser.ParseExpr(input) }, input)
}

// ParseMetric implements parser.Parser.
func (p *Parser) ParseMetric(input string) (labels.Labels, error) {
	return parseWithinBounds(p, func() (labels.Labels, error) { return p.Parser.ParseMetric(input) }, input)
}

// ParseMetricSelector implements parser.Parser.
func (p *Parser) ParseMetricSelector(input string) ([]*labels.Matcher, error) {
	if ready := p.selectors.take(input); ready != nil {
		if ready.err != nil {
			return nil, ready.err
		}
		return ready.selectors[0], nil
	}
	return parseWithinBounds(p, func() ([]*labels.Matcher, error) { return p.Parser.ParseMetricSelector(input) }, input)
}

// ParseMetricSelectors implements parser.Parser.
func (p *Parser) ParseMetricSelectors(inputs []string) ([][]*labels.Matcher, error) {
	if ready := p.selectors.take(inputs...); ready != nil {
		return ready.selectors, ready.err
	}
	return parseWithinBounds(p, func() ([][]*labels.Matcher, error) { return p.Parser.ParseMetricSelectors(inputs) }, inputs...)
}

// ParseSeriesDesc implements parser.Parser.
func (p *Parser) ParseSeriesDesc(string) (labels.Labels, []parser.SequenceValue, error) {
	return labels.EmptyLabels(), nil, errors.New("series descriptions are only for promtool's tests")
}

// exprSize is the size of the texts of one call.
type exprSize struct {
	bytes, operators, commas int
	regexps                  int64 // cost of all strings as regular expressions
	patterns                 int64 // cost of those that are more than alternatives
}

func (s *exprSize) large() bool {
	return s.operators+s.commas > smallExpr || s.bytes > smallBytes || s.regexps > smallRegexp
}

// add counts a text in one pass. It skips comments, and counts strings only as regular expressions. If it and the parser disagree about
// the end of a string, the parser stops with an error.
func (s *exprSize) add(text string) error {
	if s.bytes += len(text); s.bytes > MaxBytes {
		return fmt.Errorf("the expression has more than %d bytes (%d): use fewer or shorter matchers, or split it into several queries", MaxBytes, s.bytes)
	}
	nesting := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"', '\'', '`':
			begin := i
			i = skipString(text, i)
			if err := s.addRegexp(unquoted(text[begin:min(i+1, len(text))])); err != nil {
				return err
			}
		case '#':
			if n := strings.IndexAny(text[i:], "\r\n"); n >= 0 {
				i += n
			} else {
				i = len(text)
			}
		case '(', '[', '{':
			s.operators++
			if nesting++; nesting > maxNesting {
				return fmt.Errorf("the expression is nested more than %d deep, at byte %d: split it into several queries", maxNesting, i)
			}
		case ')', ']', '}':
			nesting--
		case ',':
			s.commas++
		case '+', '-', '*', '/', '%', '^', '@', '=', '!', '<', '>':
			s.operators++
		default:
			if end := wordEnd(text, i); end > i {
				if operatorWord(text[i:end]) {
					s.operators++
				}
				i = end - 1
			}
		}
		if s.operators > maxOperators {
			return fmt.Errorf("the expression has more than %d operators and brackets, at byte %d: split it into several queries", maxOperators, i)
		}
		if s.commas > maxCommas {
			return fmt.Errorf("the expression has more than %d commas, at byte %d: split it into several queries", maxCommas, i)
		}
	}
	return nil
}

// skipString returns the index of the closing quote of the string at i, or the length of the text.
func skipString(text string, i int) int {
	quote := text[i]
	for i++; i < len(text) && text[i] != quote; i++ {
		if text[i] == '\\' && quote != '`' {
			i++
		}
	}
	return i
}

func wordEnd(text string, i int) int {
	for i < len(text) && (text[i] == '_' || text[i] == ':' || '0' <= text[i] && text[i] <= '9' || 'a' <= text[i]|0x20 && text[i]|0x20 <= 'z') {
		i++
	}
	return i
}

// operatorWord reports whether a word is an operator or a modifier, in any case.
func operatorWord(word string) bool {
	if len(word) > len("group_right") {
		return false
	}
	switch strings.ToLower(word) {
	case "and", "or", "unless", "atan2", "offset", "bool", "on", "ignoring", "by", "without", "group_left", "group_right", "anchored", "smoothed", "fill", "fill_left", "fill_right":
		return true
	}
	return false
}
