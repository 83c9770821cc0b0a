// Package budget shares out memory among the queries that run at once.
package budget

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
)

// Class is the size of a query: how much it may hold, and how many of its size run at once.
type Class struct {
	Name  string
	Bytes int64 // that one may hold
	Slots int   // of which each stands for Bytes
}

// ErrFull is what a query is told for which there was no room in time.
type ErrFull struct {
	Class  Class
	Reason Reason
}

// Reason says why a query was refused.
type Reason string

// The reasons.
const (
	ReasonQueue   Reason = "queue"   // as many wait as may
	ReasonTimeout Reason = "timeout" // it waited for too long
)

func (e ErrFull) Error() string {
	what := "as many queries wait for the same as may"
	if e.Reason == ReasonTimeout {
		what = "no room became free in time"
	}
	return fmt.Sprintf("all %d places for queries of up to %d MiB (%s) are taken and %s: ask again later, for fewer series, or in larger steps",
		e.Class.Slots, e.Class.Bytes>>20, e.Class.Name, what)
}

// Pool gives out the slots of one class, in the order of asking.
type Pool struct {
	class Class
	queue int // how many may wait

	mu      sync.Mutex
	taken   int
	held    int64
	waiting []*waiter
	refused map[Reason]int64
}

type waiter struct{ turn chan struct{} }

// NewPool returns a pool in which at most queue requests wait.
func NewPool(class Class, queue int) *Pool {
	return &Pool{class: class, queue: queue, refused: map[Reason]int64{ReasonQueue: 0, ReasonTimeout: 0}}
}

// Class returns what one slot is.
func (p *Pool) Class() Class { return p.class }

// Take waits for a slot until ctx ends. Its error is an ErrFull, or that of ctx when it was cancelled.
func (p *Pool) Take(ctx context.Context) (*Slot, error) {
	s, err := p.wait(ctx)
	return followed(ctx, s, err)
}

func (p *Pool) wait(ctx context.Context) (*Slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, p.gaveUp(err)
	}
	p.mu.Lock()
	if p.taken < p.class.Slots && len(p.waiting) == 0 {
		defer p.mu.Unlock()
		return p.take(), nil
	}
	if len(p.waiting) >= p.queue {
		p.refused[ReasonQueue]++
		p.mu.Unlock()
		return nil, ErrFull{p.class, ReasonQueue}
	}
	w := &waiter{make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()

	select {
	case <-w.turn:
		return &Slot{pool: p, bytes: p.class.Bytes}, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, other := range p.waiting {
		if other == w {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			p.mu.Unlock()
			return nil, p.gaveUp(ctx.Err())
		}
	}
	p.mu.Unlock()
	(&Slot{pool: p, bytes: p.class.Bytes}).Release() // its turn came meanwhile
	return nil, p.gaveUp(ctx.Err())
}

func (p *Pool) gaveUp(err error) error {
	if errors.Is(err, context.Canceled) {
		return err // nobody waits for the answer any more
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused[ReasonTimeout]++
	return ErrFull{p.class, ReasonTimeout}
}

// take counts a slot as taken. The caller holds the lock.
func (p *Pool) take() *Slot {
	p.taken++
	p.held += p.class.Bytes
	return &Slot{pool: p, bytes: p.class.Bytes}
}

// State is what a pool tells of itself.
type State struct {
	Taken, Waiting int
	Held           int64 // bytes
	Refused        map[Reason]int64
}

// State returns how the pool is now.
func (p *Pool) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return State{Taken: p.taken, Waiting: len(p.waiting), Held: p.held, Refused: maps.Clone(p.refused)}
}

// Slot is room for one query.
type Slot struct {
	pool     *Pool
	bytes    int64
	released bool
	holder   *Holder // nil: nobody asks
}

// Release gives the room back. It may be called more than once, by one goroutine at a time.
func (s *Slot) Release() {
	if s == nil || s.released {
		return
	}
	s.released = true
	s.holder.drop(s)
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	p.held -= s.bytes
	for len(p.waiting) > 0 && p.taken < p.class.Slots {
		next := p.waiting[0]
		p.waiting = p.waiting[1:]
		p.take()
		close(next.turn)
	}
}
