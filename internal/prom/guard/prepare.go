package guard

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// ErrBusy is the error of a request whose text can't be queued for parsing.
var ErrBusy = errors.New("too many large expressions wait to be parsed: retry later")

// parsed is the result of parsing a text, for one later call.
type parsed struct {
	expr      parser.Expr
	selectors [][]*labels.Matcher
	err       error
}

// parsedStore holds prepared results by text.
type parsedStore struct {
	mu  sync.Mutex
	all map[string][]*parsed
}

// PrepareExpr parses a large text under a slot, so that the next ParseExpr of the same text returns the stored result. It returns when ctx
// ends. Parse errors are returned by ParseExpr. Call done when the request has ended.
func (p *Parser) PrepareExpr(ctx context.Context, text string) (done func(), err error) {
	return p.prepare(ctx, &p.exprs, text, []string{text}, func(ready *parsed) { ready.expr, ready.err = p.Parser.ParseExpr(text) })
}

// PrepareSelectors is PrepareExpr for ParseMetricSelectors.
func (p *Parser) PrepareSelectors(ctx context.Context, texts []string) (done func(), err error) {
	return p.prepare(ctx, &p.selectors, strings.Join(texts, separator), texts, func(ready *parsed) { ready.selectors, ready.err = p.Parser.ParseMetricSelectors(texts) })
}

func (p *Parser) prepare(ctx context.Context, in *parsedStore, key string, texts []string, parse func(*parsed)) (func(), error) {
	size, err := measure(texts)
	if err != nil || !size.large() {
		return func() {}, nil
	}
	if p.waiting.Add(1) > maxWaiting {
		p.waiting.Add(-1)
		return nil, ErrBusy
	}
	defer p.waiting.Add(-1)
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := make(chan *parsed, 1)
	go func() {
		defer func() { <-p.slots }()
		ready := &parsed{}
		parse(ready)
		done <- ready
	}()
	select {
	case ready := <-done:
		in.put(key, ready)
		return func() { in.drop(key, ready) }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// separator separates texts in a key; valid PromQL has it only inside strings.
const separator = "\x00"

func (s *parsedStore) put(key string, ready *parsed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string][]*parsed{}
	}
	s.all[key] = append(s.all[key], ready)
}

// take removes and returns the result of texts, nil if there is none. Each result is used once, because the engine modifies the
// expression.
func (s *parsedStore) take(texts ...string) *parsed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return nil
	}
	key := strings.Join(texts, separator)
	all := s.all[key]
	if len(all) == 0 {
		return nil
	}
	s.set(key, all[:len(all)-1])
	return all[len(all)-1]
}

func (s *parsedStore) drop(key string, ready *parsed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.all[key], ready); i >= 0 {
		s.set(key, slices.Delete(s.all[key], i, i+1))
	}
}

// set replaces the results of a key. The caller holds the lock.
func (s *parsedStore) set(key string, all []*parsed) {
	if len(all) == 0 {
		delete(s.all, key)
		return
	}
	s.all[key] = all
}
