package session

import (
	"context"
	"sync"
	"time"
)

// fetchShare of the time that the server waits is for fetching pages, the rest for what becomes of them and for answering.
const fetchShare = 0.8

// requests are what the server asks for on the stream and the worker answers beside it, a bounded number at a time.
type requests struct {
	slots   chan struct{}
	longest time.Duration
	running sync.WaitGroup
}

func newRequests(most int, longest time.Duration) *requests {
	return &requests{slots: make(chan struct{}, most), longest: longest}
}

// wait returns when all have been answered, which ends with the context that they were started with.
func (r *requests) wait() { r.running.Wait() }

// start calls answer with a context that ends when the server no longer waits, and with the time by which pages must be there. It returns
// false if too many requests are being answered.
func (r *requests) start(ctx context.Context, timeoutMillis int64, answer func(ctx context.Context, fetched time.Time)) bool {
	started := time.Now()
	timeout := min(time.Duration(timeoutMillis)*time.Millisecond, r.longest)
	select {
	case r.slots <- struct{}{}:
	default:
		return false
	}
	r.running.Go(func() {
		defer func() { <-r.slots }()
		ctx, cancel := context.WithDeadline(ctx, started.Add(timeout))
		defer cancel()
		answer(ctx, started.Add(time.Duration(fetchShare*float64(timeout))))
	})
	return true
}
