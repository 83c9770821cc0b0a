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

// ErrBusy is what a request is told for whose text there is no place among those that wait to be parsed.
var ErrBusy = errors.New("too many large expressions wait to be parsed: ask again later")

// prepared is what a text has been parsed to, for one who asks for it.
type prepared struct {
	expr      parser.Expr
	selectors [][]*labels.Matcher
	err       error
}

// store holds what has been prepared, by text.
type store struct {
	mu  sync.Mutex
	all map[string][]*prepared
}

// PrepareExpr parses a text that is not small, under a slot, so that the next ParseExpr of the same text costs nothing. It returns as
// soon as ctx ends. An error of the text is ParseExpr's to return. Call done when the request has ended.
func (p *Parser) PrepareExpr(ctx context.Context, text string) (done func(), err error) {
	return p.prepare(ctx, &p.exprs, text, []string{text}, func(ready *prepared) { ready.expr, ready.err = p.Parser.ParseExpr(text) })
}

// PrepareSelectors is PrepareExpr for ParseMetricSelectors.
func (p *Parser) PrepareSelectors(ctx context.Context, texts []string) (done func(), err error) {
	return p.prepare(ctx, &p.selectors, strings.Join(texts, separator), texts, func(ready *prepared) { ready.selectors, ready.err = p.Parser.ParseMetricSelectors(texts) })
}

func (p *Parser) prepare(ctx context.Context, in *store, key string, texts []string, parse func(*prepared)) (func(), error) {
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
	parsed := make(chan *prepared, 1)
	go func() {
		defer func() { <-p.slots }()
		ready := &prepared{}
		parse(ready)
		parsed <- ready
	}()
	select {
	case ready := <-parsed:
		in.put(key, ready)
		return func() { in.drop(key, ready) }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// separator keeps texts apart in a key; no text that the parser takes has it outside of a string.
const separator = "\x00"

func (s *store) put(key string, ready *prepared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string][]*prepared{}
	}
	s.all[key] = append(s.all[key], ready)
}

// take removes and returns what texts have been parsed to, nil when nothing is prepared. The engine changes an expression, so that
// it serves once.
func (s *store) take(texts ...string) *prepared {
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
	s.keep(key, all[:len(all)-1])
	return all[len(all)-1]
}

func (s *store) drop(key string, ready *prepared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.all[key], ready); i >= 0 {
		s.keep(key, slices.Delete(s.all[key], i, i+1))
	}
}

// keep sets what is prepared for a key. The caller holds the lock.
func (s *store) keep(key string, all []*prepared) {
	if len(all) == 0 {
		delete(s.all, key)
		return
	}
	s.all[key] = all
}
