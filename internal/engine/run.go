package engine

import (
	"context"
	"time"
)

const (
	// checkInterval is after how long without a scrape the engine is read to learn its state.
	checkInterval = 30 * time.Second
	checkTimeout  = 10 * time.Second
	// firstRetry and lastRetry bound the pauses between reads of an engine that never answered.
	firstRetry = time.Second
	lastRetry  = 15 * time.Second
)

// Run keeps the engine's state and identity up to date until ctx ends. It reads an engine that nobody scrapes, more often while it
// has work, and asks for its version and model after each start.
func (e *Engine) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	asks := askPauses{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.askIdentity:
			asks.reset()
			asks.next(e.identify(ctx))
		case <-asks.due():
			asks.next(e.identify(ctx))
		case <-e.wake:
			timer.Reset(e.readIfDue(ctx))
		case <-timer.C:
			timer.Reset(e.readIfDue(ctx))
		}
	}
}

// readIfDue reads the engine if that is due and returns the time until the next read.
func (e *Engine) readIfDue(ctx context.Context) time.Duration {
	e.reviewStall()
	if e.untilNextRead() <= 0 {
		e.readOwn(ctx)
	}
	return e.untilNextRead()
}

// untilNextRead returns the time until the engine is due to be read if nobody scrapes it.
func (e *Engine) untilNextRead() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.readNow || e.lastFetch.IsZero() {
		return 0
	}
	interval := e.stall.readInterval()
	if !e.process.Answered() && !e.process.HasEnded() {
		interval = e.retryPause
	}
	next := e.lastFetch.Add(interval)
	if due := e.stall.due(); e.lastFetch.Before(due) && due.Before(next) {
		next = due // to learn whether it is stalled
	}
	return time.Until(next)
}

// reviewStall decides about a stall between pages.
func (e *Engine) reviewStall() {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	e.stall.updateWork(now)
	if e.updateStall(now) {
		e.onChange()
	}
}

// readSoon makes Run read the engine at once. The caller holds e.mu.
func (e *Engine) readSoon() {
	e.readNow = true
	e.wakeRun()
}

// wakeRun makes Run compute again when to read.
func (e *Engine) wakeRun() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// beginFetch counts a fetch and returns its number.
func (e *Engine) beginFetch() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fetches++
	e.lastFetch = time.Now()
	e.readNow = false
	return e.fetches
}

// readOwn reads the page to learn the state. It does not wait for the identity, which its caller Run asks for.
func (e *Engine) readOwn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	number := e.beginFetch()
	page, err := e.fetcher.Fetch(ctx, e.target)
	e.lengthenRetryPause()
	if err != nil {
		e.fetchFailed(number, err)
		return
	}
	e.pageFetched(number, page.Body)
	page.Release()
}

// lengthenRetryPause lengthens the pause between reads of an engine that has never answered.
func (e *Engine) lengthenRetryPause() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.retryPause = min(max(2*e.retryPause, firstRetry), lastRetry)
}
