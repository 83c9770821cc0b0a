package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// smallPageBytes is what every page may have without asking.
const smallPageBytes = 1 << 20

var errNoRoom = errors.New("other pages take all the memory for large pages")

// budget is memory that pages share. Where pages that grow wait for each other, the largest of them gives up.
type budget struct {
	mu      sync.Mutex
	free    int64
	holders int // shares that hold something
	waiting []*share
}

// share is what one page holds of a budget. It is for one goroutine at a time.
type share struct {
	budget *budget
	held   int64
	want   int64
	answer chan error
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
	select {
	case err := <-s.answer:
		return err
	case <-ctx.Done():
	}
	b.mu.Lock()
	b.waiting = slices.DeleteFunc(b.waiting, func(w *share) bool { return w == s })
	b.mu.Unlock()
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return errNoRoom
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
	b.settle()
}

func (b *budget) grant(s *share, n int64) {
	if s.held == 0 {
		b.holders++
	}
	b.free -= n
	s.held += n
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
