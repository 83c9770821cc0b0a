// Package budget divides memory among concurrent queries.
package budget

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
)

// Class is a size class of queries: how much memory one may hold, and how many run at once.
type Class struct {
	Name  string
	Bytes int64 // memory of one query
	Slots int   // concurrent queries
}

// ErrFull is the error of a query that got no slot.
type ErrFull struct {
	Class  Class
	Reason Reason
}

// Reason says why a query was refused.
type Reason string

// The reasons.
const (
	ReasonQueue   Reason = "queue"   // the queue is full
	ReasonTimeout Reason = "timeout" // no slot became free in time
)

func (e ErrFull) Error() string {
	what := "the queue is full"
	if e.Reason == ReasonTimeout {
		what = "none became free in time"
	}
	return fmt.Sprintf("all %d slots for queries of up to %d MiB (%s) are in use and %s: retry later, select fewer series, or use larger steps",
		e.Class.Slots, e.Class.Bytes>>20, e.Class.Name, what)
}

// Pool grants the slots of one class. Peers take turns; requests of one peer are served in order.
type Pool struct {
	class Class
	queue int // limit of waiting requests

	mu      sync.Mutex
	taken   int
	held    int64
	waiting waitQueue
	holders map[Peer]int // slots in use
	refused map[Reason]int64
}

// NewPool returns a pool in which at most queue requests wait.
func NewPool(class Class, queue int) *Pool {
	return &Pool{class: class, queue: queue, holders: map[Peer]int{}, refused: map[Reason]int64{ReasonQueue: 0, ReasonTimeout: 0}}
}

// Class returns the pool's class.
func (p *Pool) Class() Class { return p.class }

// Take waits for a slot until ctx ends. The error is an ErrFull, or context.Canceled.
func (p *Pool) Take(ctx context.Context) (*Slot, error) {
	s, err := p.wait(ctx)
	return track(ctx, s, err)
}

func (p *Pool) wait(ctx context.Context) (*Slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, p.waitError(err)
	}
	peer := peerOf(ctx)
	p.mu.Lock()
	if p.taken < p.class.Slots && !p.waiting.has(peer) && (p.waiting.len == 0 || !p.atFairShare(peer)) {
		defer p.mu.Unlock()
		return p.grant(peer), nil
	}
	if p.waiting.len >= p.queue && !p.displace(peer) {
		p.refused[ReasonQueue]++
		p.mu.Unlock()
		return nil, ErrFull{p.class, ReasonQueue}
	}
	w := &waiter{peer: peer, granted: make(chan *Slot, 1)}
	p.waiting.push(w)
	p.mu.Unlock()

	select {
	case slot := <-w.granted:
		if slot == nil {
			return nil, ErrFull{p.class, ReasonQueue} // displaced by another peer
		}
		return slot, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	waited := p.waiting.remove(w)
	p.mu.Unlock()
	if !waited {
		(<-w.granted).Release() // a slot was granted meanwhile
	}
	return nil, p.waitError(ctx.Err())
}

// displace refuses the newest waiter of the peer with the most waiters, if peer has fewer. The caller holds the lock.
func (p *Pool) displace(peer Peer) bool {
	w := p.waiting.last(p.waiting.busiestPeer())
	if w == nil || p.waiting.count(w.peer) <= p.waiting.count(peer)+1 {
		return false
	}
	p.waiting.remove(w)
	p.refused[ReasonQueue]++
	w.granted <- nil
	return true
}

// atFairShare reports whether a peer holds as many slots as it may while others wait. The caller holds the lock.
func (p *Pool) atFairShare(peer Peer) bool {
	return peer.shareLimited() && p.holders[peer] >= (p.class.Slots+1)/2
}

// grantWaiting grants free slots to waiters. The caller holds the lock.
func (p *Pool) grantWaiting() {
	for p.taken < p.class.Slots {
		w := p.waiting.next(p.atFairShare)
		if w == nil {
			return
		}
		w.granted <- p.grant(w.peer)
	}
}

func (p *Pool) waitError(err error) error {
	if errors.Is(err, context.Canceled) {
		return err // the client has disconnected
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused[ReasonTimeout]++
	return ErrFull{p.class, ReasonTimeout}
}

// grant returns a new slot. The caller holds the lock.
func (p *Pool) grant(peer Peer) *Slot {
	p.taken++
	p.holders[peer]++
	p.held += p.class.Bytes
	return &Slot{pool: p, peer: peer, bytes: p.class.Bytes}
}

// State is the state of a pool, for metrics.
type State struct {
	Taken, Waiting int
	Held           int64 // bytes
	Refused        map[Reason]int64
}

// State returns the current state.
func (p *Pool) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return State{Taken: p.taken, Waiting: p.waiting.len, Held: p.held, Refused: maps.Clone(p.refused)}
}

// Slot is the reservation of one query.
type Slot struct {
	pool     *Pool
	peer     Peer
	bytes    int64
	released bool
	request  *RequestSlots // nil: not tracked
}

// Release frees the slot. It may be called more than once, by one goroutine at a time, and on nil.
func (s *Slot) Release() {
	if s == nil || s.released {
		return
	}
	s.released = true
	s.request.remove(s)
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	p.held -= s.bytes
	if p.holders[s.peer]--; p.holders[s.peer] == 0 {
		delete(p.holders, s.peer)
	}
	p.grantWaiting()
}
