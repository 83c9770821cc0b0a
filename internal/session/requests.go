package session

import (
	"context"
	"sync"
	"time"
)

const (
	// fetchShare of the time that the server waits is for fetching pages, the rest for what becomes of them and for answering.
	fetchShare = 0.8
	// slotWait is how long a request waits for a slot. A server asks anew as soon as it has an answer, when the request that was answered
	// may still hold its slot.
	slotWait = 500 * time.Millisecond
	// maxTimeout bounds the time for an answer, whatever a server says.
	maxTimeout = time.Minute
)

// requests are what the server asks for on the stream and the worker answers beside it, a bounded number at a time.
type requests struct {
	slots   chan struct{}
	places  chan struct{} // of requests with a slot and of those that wait for one
	running sync.WaitGroup
}

func newRequests(most int) *requests {
	return &requests{slots: make(chan struct{}, most), places: make(chan struct{}, 2*most)}
}

// wait returns when all have been answered, which ends with the context that they were started with.
func (r *requests) wait() { r.running.Wait() }

// start calls answer with a context that ends when the server no longer waits, and with the time by which pages must be there. It calls
// skipped if too many requests are being answered.
func (r *requests) start(ctx context.Context, timeoutMillis int64, answer func(ctx context.Context, fetched time.Time), skipped func()) {
	started := time.Now()
	timeout := min(time.Duration(timeoutMillis)*time.Millisecond, maxTimeout)
	select {
	case r.places <- struct{}{}:
	default:
		skipped()
		return
	}
	r.running.Go(func() {
		defer func() { <-r.places }()
		ctx, cancel := context.WithDeadline(ctx, started.Add(timeout))
		defer cancel()
		select {
		case r.slots <- struct{}{}:
		case <-time.After(slotWait):
			skipped()
			return
		case <-ctx.Done():
			return
		}
		defer func() { <-r.slots }()
		answer(ctx, started.Add(time.Duration(fetchShare*float64(timeout))))
	})
}
