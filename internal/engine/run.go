package engine

import (
	"context"
	"time"
)

const (
	// checkInterval is how long an engine may go unread before it is read for its state's sake.
	checkInterval = 30 * time.Second
	checkTimeout  = 10 * time.Second
	// firstRetry and lastRetry bound the pauses between reads of an engine that never answered.
	firstRetry = time.Second
	lastRetry  = 15 * time.Second
)

// Run keeps the engine's state and identity up to date until ctx ends: it reads an engine that nobody scrapes now and
// then, more often while it has work, and asks it what it is after each start.
func (e *Engine) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	asks := askPauses{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.ask:
			asks.reset()
			asks.next(e.identify(ctx))
		case <-asks.due():
			asks.next(e.identify(ctx))
		case <-e.wake:
			timer.Reset(e.readDue(ctx))
		case <-timer.C:
			timer.Reset(e.readDue(ctx))
		}
	}
}

// readDue reads the engine if that is due and returns in how long it is next.
func (e *Engine) readDue(ctx context.Context) time.Duration {
	e.review()
	if e.nextRead() <= 0 {
		e.check(ctx)
	}
	return e.nextRead()
}

// nextRead returns in how long the engine is to be read if nobody else reads it.
func (e *Engine) nextRead() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.urgent || e.lastTry.IsZero() {
		return 0
	}
	interval := e.watch.interval()
	if !e.process.Answered() && !e.process.HasEnded() {
		interval = e.pause
	}
	next := e.lastTry.Add(interval)
	if due := e.watch.due(); e.lastTry.Before(due) && due.Before(next) {
		next = due // whether it is stalled by then
	}
	return time.Until(next)
}

// review judges the engine when no page says how it does.
func (e *Engine) review() {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	e.watch.flight(now)
	if e.judge(now) {
		e.onChange()
	}
}

// hurry has Run read the engine at once. The caller holds e.mu.
func (e *Engine) hurry() {
	e.urgent = true
	e.rouse()
}

// rouse has Run think again about when to read.
func (e *Engine) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// begin counts a try and returns its number.
func (e *Engine) begin() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.started++
	e.lastTry = time.Now()
	e.urgent = false
	return e.started
}

// check reads the page for its state's sake and does not wait for the identity, which the caller finds out itself.
func (e *Engine) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	begun := e.begin()
	page, err := e.fetcher.Fetch(ctx, e.target)
	e.lengthen()
	if err != nil {
		e.failed(begun, err)
		return
	}
	e.answered(begun, page.Body)
	page.Release()
}

// lengthen makes the pauses longer in which an engine that never answered is read.
func (e *Engine) lengthen() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pause = min(max(2*e.pause, firstRetry), lastRetry)
}
