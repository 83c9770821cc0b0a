// Package quota limits how often each key may do something in a period, in bounded memory.
package quota

import (
	"container/list"
	"sync"
	"time"
)

// Options are the settings of a Quota. Those without a default are required.
type Options[K comparable] struct {
	// Allowed is how often each key may do it within Period.
	Allowed int
	Period  time.Duration
	// MaxKeys bounds the keys that are counted separately. While all of them are within their periods, all other keys share one overflow
	// count, or are not counted with IgnoreRest.
	MaxKeys    int
	IgnoreRest bool
	// OnRefused is called at the first refusal of a key, and then at most once in Period while there are more. refused counts the
	// refusals since the last call. overflow says that the count is the shared one. May be nil.
	OnRefused func(key K, overflow bool, refused int)
}

// Quota is safe for concurrent use.
type Quota[K comparable] struct {
	opts Options[K]

	mu       sync.Mutex
	entries  map[K]*list.Element // of *entry
	oldest   *list.List          // sorted by periodStart
	overflow *entry[K]
}

// entry is the count of one key.
type entry[K comparable] struct {
	key         K
	overflow    bool
	periodStart time.Time
	count       int // in the period

	unreported    int // refusals since reportedAt
	reportedAt    time.Time
	reportPending bool // a timer will report them
}

// New makes an unused quota.
func New[K comparable](o Options[K]) *Quota[K] {
	return &Quota[K]{opts: o, entries: make(map[K]*list.Element), oldest: list.New(), overflow: &entry[K]{overflow: true}}
}

// Take counts one use by key. It returns 0, or the time to wait if key has used up its quota.
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
	wait = e.periodStart.Add(q.opts.Period).Sub(now)
	e.unreported++
	refused := q.takeReport(e, now)
	q.mu.Unlock()
	q.report(e, refused)
	return wait
}

// Wait returns what Take would return, and counts nothing.
func (q *Quota[K]) Wait(key K) time.Duration {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	at, ok := q.entries[key]
	if !ok {
		return 0
	}
	e := at.Value.(*entry[K])
	if now.Sub(e.periodStart) >= q.opts.Period || e.count < q.opts.Allowed {
		return 0
	}
	return e.periodStart.Add(q.opts.Period).Sub(now)
}

// Len returns how many keys are counted separately.
func (q *Quota[K]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries)
}

// entry returns the count of key in its current period; nil: key is not counted.
func (q *Quota[K]) entry(key K, now time.Time) *entry[K] {
	over := func(e *entry[K]) bool { return now.Sub(e.periodStart) >= q.opts.Period }
	if at, ok := q.entries[key]; ok {
		e := at.Value.(*entry[K])
		if over(e) {
			e.periodStart, e.count = now, 0
			q.oldest.MoveToBack(at)
		}
		return e
	}
	if len(q.entries) >= q.opts.MaxKeys {
		at := q.oldest.Front()
		if at == nil || !over(at.Value.(*entry[K])) {
			if q.opts.IgnoreRest {
				return nil
			}
			if over(q.overflow) {
				q.overflow.periodStart, q.overflow.count = now, 0
			}
			return q.overflow
		}
		delete(q.entries, at.Value.(*entry[K]).key)
		q.oldest.Remove(at)
	}
	e := &entry[K]{key: key, periodStart: now}
	q.entries[key] = q.oldest.PushBack(e)
	return e
}

// takeReport returns how many refusals to report now. If the last report was less than a period ago, it sets a timer for the next.
func (q *Quota[K]) takeReport(e *entry[K], now time.Time) (refused int) {
	if q.opts.OnRefused == nil || e.reportPending {
		return 0
	}
	if soonest := e.reportedAt.Add(q.opts.Period); !e.reportedAt.IsZero() && now.Before(soonest) {
		e.reportPending = true
		time.AfterFunc(soonest.Sub(now), func() {
			q.mu.Lock()
			e.reportPending = false
			refused := q.takeReport(e, time.Now())
			q.mu.Unlock()
			q.report(e, refused)
		})
		return 0
	}
	refused, e.unreported, e.reportedAt = e.unreported, 0, now
	return refused
}

func (q *Quota[K]) report(e *entry[K], refused int) {
	if refused > 0 {
		q.opts.OnRefused(e.key, e.overflow, refused)
	}
}
