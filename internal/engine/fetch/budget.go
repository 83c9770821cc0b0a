package fetch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// smallPageBytes is what every page may have without asking.
const smallPageBytes = 1 << 20

// Where others wait, a page that holds some of the budget must be complete after largePatience. They look for such a page every
// largeTick.
const (
	largePatience = 500 * time.Millisecond
	largeTick     = 50 * time.Millisecond
)

var (
	errNoRoom = errors.New("other pages take all the memory for large pages")
	errSlow   = errors.New("a large page came slowly while others waited for its memory")
)

// budget is memory that pages share. Where pages that grow wait for each other, the largest of them gives up.
type budget struct {
	mu      sync.Mutex
	free    int64
	holders int // shares that hold something
	waiting []*share
	reading []*share // those that hold something and whose pages are not complete
}

// share is what one page holds of a budget. It is for one goroutine at a time.
type share struct {
	budget *budget
	held   int64
	want   int64
	answer chan error
	since  time.Time // when it first held something
	// giveUp ends the reading of the page; nil: it cannot be ended. asked says that it was called.
	giveUp func(error)
	asked  bool
}

func newBudget(size int64) *budget { return &budget{free: size} }

// grow takes n more. It waits for others to give something back until ctx ends, and returns errNoRoom if they do not.
func (s *share) grow(ctx context.Context, n int64) error {
	b := s.budget
	b.mu.Lock()
	if n <= b.free {
		b.grant(s, n)
		b.mu.Unlock()
		return nil
	}
	s.want, s.answer = n, make(chan error, 1)
	b.waiting = append(b.waiting, s)
	b.settle()
	b.mu.Unlock()
	tick := time.NewTicker(largeTick)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case err := <-s.answer:
			return err
		case <-tick.C:
			b.hurry(s)
		case <-ctx.Done():
		}
	}
	select {
	case err := <-s.answer: // it came at the last moment
		return err
	default:
	}
	b.mu.Lock()
	b.waiting = slices.DeleteFunc(b.waiting, func(w *share) bool { return w == s })
	b.mu.Unlock()
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return errNoRoom
}

// hurry ends the reading of pages that take too long, the largest first, until there is what s waits for.
func (b *budget) hurry(s *share) {
	b.mu.Lock()
	defer b.mu.Unlock()
	free := b.free
	var late []*share
	for _, r := range b.reading {
		switch {
		case r == s || r.want > 0 || r.giveUp == nil:
		case r.asked:
			free += r.held
		case time.Since(r.since) >= largePatience:
			late = append(late, r)
		}
	}
	slices.SortFunc(late, func(x, y *share) int { return int(y.held - x.held) })
	for _, r := range late {
		if free >= s.want {
			return
		}
		r.asked = true
		free += r.held
		r.giveUp(errSlow)
	}
}

// complete says that the page is there: it is given back soon.
func (s *share) complete() {
	if s.held == 0 {
		return
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.forget(s)
}

func (b *budget) forget(s *share) {
	b.reading = slices.DeleteFunc(b.reading, func(r *share) bool { return r == s })
}

// release gives back all that is held. A second call does nothing.
func (s *share) release() {
	if s.held == 0 {
		return
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += s.held
	b.holders--
	s.held = 0
	b.forget(s)
	b.settle()
}

func (b *budget) grant(s *share, n int64) {
	if s.held == 0 {
		b.holders++
		b.reading = append(b.reading, s)
		s.since = time.Now()
	}
	b.free -= n
	s.held += n
	s.want = 0
}

// settle answers those that wait and can have what they want, smaller pages first. Where none can, and all that hold
// something wait for more, nothing would be given back, so the largest page is refused.
func (b *budget) settle() {
	slices.SortStableFunc(b.waiting, func(x, y *share) int { return int(x.held - y.held) })
	stuck := 0
	b.waiting = slices.DeleteFunc(b.waiting, func(s *share) bool {
		if s.want <= b.free {
			b.grant(s, s.want)
			s.answer <- nil
			return true
		}
		if s.held > 0 {
			stuck++
		}
		return false
	})
	if n := len(b.waiting); n > 0 && stuck == b.holders {
		b.waiting[n-1].answer <- errNoRoom
		b.waiting = b.waiting[:n-1]
	}
}
