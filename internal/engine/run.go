package engine

import (
	"context"
	"time"
)

const (
	// checkInterval is how long the engine may go without a scrape before Run reads it.
	checkInterval = 30 * time.Second
	checkTimeout  = 10 * time.Second
	// minRetryPause and maxRetryPause bound the pauses between reads of an engine that never answered.
	minRetryPause = time.Second
	maxRetryPause = 15 * time.Second
)

// Run keeps the engine's state and identity up to date until ctx ends. It reads the engine if nobody scrapes it, more often while it has
// work, and requests its version and model after each start.
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
		case <-e.askModels:
			e.listModels(ctx)
		case <-asks.due():
			asks.next(e.identify(ctx))
		case <-e.wake:
			timer.Reset(e.readIfDue(ctx))
		case <-timer.C:
			timer.Reset(e.readIfDue(ctx))
		}
	}
}

// readIfDue reads the engine if a read is due, and returns the time until the next one.
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
		next = due // this read decides whether it is stalled
	}
	return time.Until(next)
}

// reviewStall updates the stall without a page.
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

// wakeRun makes Run compute the time of the next read again.
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

// readOwn reads the page for the state alone. It does not wait for the identity, because its caller Run requests that.
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
	e.retryPause = min(max(2*e.retryPause, minRetryPause), maxRetryPause)
}
