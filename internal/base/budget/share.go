package budget

import (
	"context"
	"errors"
	"slices"
	"time"
)

// SlowAfter is how long a page that holds memory may take to become complete while others wait for more than is free. Then it is
// aborted.
const SlowAfter = 500 * time.Millisecond

// slowCheck is how often those that wait look for slow pages.
const slowCheck = 50 * time.Millisecond

// Share is what one page holds of a Pool. It is for one goroutine at a time.
type Share struct {
	pool   *Pool
	held   int64
	want   int64      // what Grow waits for, or failed to get
	answer chan error // of the pool to want
	since  time.Time  // when it first held something

	abort   func(error) // nil: the reading cannot be aborted
	aborted bool
}

// NewShare makes a Share that holds nothing. abort ends the reading of its page with the given error and must not block. With nil the
// reading cannot be aborted.
func (p *Pool) NewShare(abort func(error)) *Share { return &Share{pool: p, abort: abort} }

// Grow takes n more bytes. It waits for other holders until ctx ends. Then it returns ErrExhausted, or the error of ctx if that was
// canceled.
func (s *Share) Grow(ctx context.Context, n int64) error {
	p := s.pool
	p.mu.Lock()
	if n <= p.free {
		p.grant(s, n)
		p.mu.Unlock()
		return nil
	}
	s.want, s.answer = n, make(chan error, 1)
	p.waiting = append(p.waiting, s)
	p.serve()
	p.mu.Unlock()
	tick := time.NewTicker(slowCheck)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case err := <-s.answer:
			return err
		case <-tick.C:
			p.abortSlow(s)
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case err := <-s.answer: // in the same moment
		return err
	default:
	}
	p.waiting = slices.DeleteFunc(p.waiting, func(w *Share) bool { return w == s })
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return ErrExhausted
}

// Complete says that the page has been read. It is no longer aborted for being slow.
func (s *Share) Complete() {
	if s.held == 0 {
		return
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.pool.notReading(s)
}

// Release gives back all that the Share holds. A second call does nothing.
func (s *Share) Release() {
	if s.held == 0 {
		return
	}
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free += s.held
	p.holders--
	s.held = 0
	p.notReading(s)
	p.serve()
}

// The functions below are called with p.mu held, except abortSlow.

// grant takes n free bytes for s.
func (p *Pool) grant(s *Share, n int64) {
	if s.held == 0 {
		p.holders++
		p.reading = append(p.reading, s)
		s.since = time.Now()
	}
	p.free -= n
	s.held += n
	s.want = 0
}

func (p *Pool) notReading(s *Share) {
	p.reading = slices.DeleteFunc(p.reading, func(r *Share) bool { return r == s })
}

// serve grants what waiting shares want and what is free, to those that hold least first. If every holder waits for more, none
// would ever give back: the largest is refused.
func (p *Pool) serve() {
	slices.SortStableFunc(p.waiting, func(x, y *Share) int { return int(x.held - y.held) })
	blocked := 0
	p.waiting = slices.DeleteFunc(p.waiting, func(s *Share) bool {
		if s.want <= p.free {
			p.grant(s, s.want)
			s.answer <- nil
			return true
		}
		if s.held > 0 {
			blocked++
		}
		return false
	})
	if last := len(p.waiting) - 1; last >= 0 && blocked == p.holders && p.taken == 0 {
		p.waiting[last].answer <- ErrExhausted
		p.waiting = p.waiting[:last]
	}
}

// abortSlow aborts pages that are slow, the largest first, until s gets what it wants.
func (p *Pool) abortSlow(s *Share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.free
	var slow []*Share
	for _, r := range p.reading {
		switch {
		case r == s || r.want > 0 || r.abort == nil:
		case r.aborted:
			free += r.held
		case time.Since(r.since) >= SlowAfter:
			slow = append(slow, r)
		}
	}
	slices.SortFunc(slow, func(x, y *Share) int { return int(y.held - x.held) })
	for _, r := range slow {
		if free >= s.want {
			return
		}
		r.aborted = true
		free += r.held
		r.abort(ErrSlow)
	}
}
