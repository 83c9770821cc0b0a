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

// Pool gives out the slots of one class: to peers in turn, and to each in the order of asking.
type Pool struct {
	class Class
	queue int // how many may wait

	mu      sync.Mutex
	taken   int
	held    int64
	waiting line
	holders map[Peer]int // slots that are taken
	refused map[Reason]int64
}

// NewPool returns a pool in which at most queue requests wait.
func NewPool(class Class, queue int) *Pool {
	return &Pool{class: class, queue: queue, holders: map[Peer]int{}, refused: map[Reason]int64{ReasonQueue: 0, ReasonTimeout: 0}}
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
	peer := peerOf(ctx)
	p.mu.Lock()
	if p.taken < p.class.Slots && !p.waiting.has(peer) && (p.waiting.len == 0 || !p.hasShare(peer)) {
		defer p.mu.Unlock()
		return p.take(peer), nil
	}
	if p.waiting.len >= p.queue && !p.displace(peer) {
		p.refused[ReasonQueue]++
		p.mu.Unlock()
		return nil, ErrFull{p.class, ReasonQueue}
	}
	w := &waiter{peer: peer, turn: make(chan *Slot, 1)}
	p.waiting.push(w)
	p.mu.Unlock()

	select {
	case slot := <-w.turn:
		if slot == nil {
			return nil, ErrFull{p.class, ReasonQueue} // it made room for another peer
		}
		return slot, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	waited := p.waiting.remove(w)
	p.mu.Unlock()
	if !waited {
		(<-w.turn).Release() // its turn came meanwhile
	}
	return nil, p.gaveUp(ctx.Err())
}

// displace refuses the last one of the peer of which most wait, when fewer of the one who asks do. The caller holds the lock.
func (p *Pool) displace(peer Peer) bool {
	w := p.waiting.last(p.waiting.longest())
	if w == nil || p.waiting.of(w.peer) <= p.waiting.of(peer)+1 {
		return false
	}
	p.waiting.remove(w)
	p.refused[ReasonQueue]++
	w.turn <- nil
	return true
}

// hasShare tells whether a peer holds as many slots as one may while others wait. The caller holds the lock.
func (p *Pool) hasShare(peer Peer) bool {
	return peer.one() && p.holders[peer] >= (p.class.Slots+1)/2
}

// serve gives the slots that are free to those who wait. The caller holds the lock.
func (p *Pool) serve() {
	for p.taken < p.class.Slots {
		w := p.waiting.next(p.hasShare)
		if w == nil {
			return
		}
		w.turn <- p.take(w.peer)
	}
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
func (p *Pool) take(peer Peer) *Slot {
	p.taken++
	p.holders[peer]++
	p.held += p.class.Bytes
	return &Slot{pool: p, peer: peer, bytes: p.class.Bytes}
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
	return State{Taken: p.taken, Waiting: p.waiting.len, Held: p.held, Refused: maps.Clone(p.refused)}
}

// Slot is room for one query.
type Slot struct {
	pool     *Pool
	peer     Peer
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
	if p.holders[s.peer]--; p.holders[s.peer] == 0 {
		delete(p.holders, s.peer)
	}
	p.serve()
}
