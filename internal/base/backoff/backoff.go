// Package backoff computes pauses between attempts: each twice as long as the one before, within bounds.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff remembers the last pause. The zero value starts with the shortest one.
type Backoff struct{ last time.Duration }

// Next returns the next pause: twice the last one, but at least shortest and at most longest.
func (b *Backoff) Next(shortest, longest time.Duration) time.Duration {
	b.last = min(max(2*b.last, shortest), longest)
	return b.last
}

// Reset makes Next start with the shortest pause again.
func (b *Backoff) Reset() { b.last = 0 }

// Jitter shortens a pause by up to half at random, so that many clients of one server do not come back at the same moment.
func Jitter(pause time.Duration) time.Duration {
	if pause < 2 {
		return pause
	}
	return pause/2 + rand.N(pause/2)
}

// Sleep returns after d, or as soon as ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
