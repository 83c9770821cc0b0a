// Package quota counts what each of many does, in bounded memory, and says when one of them did it too often.
package quota

import (
	"container/list"
	"sync"
	"time"
)

// Options are the settings of a Quota. Those without a default are required.
type Options[K comparable] struct {
	// Allowed is how often each may do it within Period.
	Allowed int
	Period  time.Duration
	// MaxKeys bounds those that are counted apart. When there are as many and each of them did it within Period, all others count as
	// one, or, with NoShare, aren't counted.
	MaxKeys int
	NoShare bool
	// Tell is called when somebody did it too often: at once, and then once in Period as long as it goes on. refused is how often since
	// it was called last; shared says that they are those that count as one. Nil: nobody wants to know.
	Tell func(key K, shared bool, refused int)
}

// Quota may be used by several at the same time.
type Quota[K comparable] struct {
	opts Options[K]

	mu     sync.Mutex
	of     map[K]*list.Element // of *entry
	oldest *list.List          // by the beginning of their periods
	others *entry[K]
}

// entry is what is known of one key.
type entry[K comparable] struct {
	key    K
	shared bool
	begun  time.Time // its period
	count  int       // in it
	// untold is how often it was refused since told; waiting says that it will be told when it may be.
	untold  int
	told    time.Time
	waiting bool
}

// New makes a quota of which nothing is used.
func New[K comparable](o Options[K]) *Quota[K] {
	return &Quota[K]{opts: o, of: make(map[K]*list.Element), oldest: list.New(), others: &entry[K]{shared: true}}
}

// Take counts that key does it. It returns 0, or, if that was too often, after how long it may do it again.
func (q *Quota[K]) Take(key K) (wait time.Duration) {
	now := time.Now()
	q.mu.Lock()
	e := q.entry(key, now)
	if e == nil {
		q.mu.Unlock()
		return 0
	}
	e.count++
	if e.count <= q.opts.Allowed {
		q.mu.Unlock()
		return 0
	}
	wait = e.begun.Add(q.opts.Period).Sub(now)
	e.untold++
	refused := q.due(e, now)
	q.mu.Unlock()
	q.tell(e, refused)
	return wait
}

// Wait returns what Take would return, and counts nothing.
func (q *Quota[K]) Wait(key K) time.Duration {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	at, ok := q.of[key]
	if !ok {
		return 0
	}
	e := at.Value.(*entry[K])
	if now.Sub(e.begun) >= q.opts.Period || e.count < q.opts.Allowed {
		return 0
	}
	return e.begun.Add(q.opts.Period).Sub(now)
}

// Len returns how many are counted apart.
func (q *Quota[K]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.of)
}

// entry returns what key is counted by, in a period that has begun; nil: it isn't counted.
func (q *Quota[K]) entry(key K, now time.Time) *entry[K] {
	over := func(e *entry[K]) bool { return now.Sub(e.begun) >= q.opts.Period }
	if at, ok := q.of[key]; ok {
		e := at.Value.(*entry[K])
		if over(e) {
			e.begun, e.count = now, 0
			q.oldest.MoveToBack(at)
		}
		return e
	}
	if len(q.of) >= q.opts.MaxKeys {
		at := q.oldest.Front()
		if at == nil || !over(at.Value.(*entry[K])) {
			if q.opts.NoShare {
				return nil
			}
			if over(q.others) {
				q.others.begun, q.others.count = now, 0
			}
			return q.others
		}
		delete(q.of, at.Value.(*entry[K]).key)
		q.oldest.Remove(at)
	}
	e := &entry[K]{key: key, begun: now}
	q.of[key] = q.oldest.PushBack(e)
	return e
}

// due returns how many refusals are to be told now; those that may not be yet are told later.
func (q *Quota[K]) due(e *entry[K], now time.Time) (refused int) {
	if q.opts.Tell == nil || e.waiting {
		return 0
	}
	if soonest := e.told.Add(q.opts.Period); !e.told.IsZero() && now.Before(soonest) {
		e.waiting = true
		time.AfterFunc(soonest.Sub(now), func() {
			q.mu.Lock()
			e.waiting = false
			refused := q.due(e, time.Now())
			q.mu.Unlock()
			q.tell(e, refused)
		})
		return 0
	}
	refused, e.untold, e.told = e.untold, 0, now
	return refused
}

func (q *Quota[K]) tell(e *entry[K], refused int) {
	if refused > 0 {
		q.opts.Tell(e.key, e.shared, refused)
	}
}
