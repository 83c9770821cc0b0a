package engine

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
)

const (
	// DefaultStallAfter is how long an engine may have work and make no progress before it counts as stalled.
	DefaultStallAfter = 2 * time.Minute
	// minSlowStallAfter is the least such time in two cases. An engine that has generated no token since its start may be compiling
	// kernels and capturing graphs. One whose counters move only when a request ends shows nothing during a long answer.
	minSlowStallAfter = 10 * time.Minute
	// minReadInterval bounds how often an engine with work is read if StallAfter is short.
	minReadInterval = time.Second
)

// stallDetector decides whether an engine is stalled. It is if, for the configured time, it has had work without interruption and no
// progress counter has moved. Work is requests on its page or busy GPUs, because some hung engines show no requests and others no page.
type stallDetector struct {
	after time.Duration // negative: never stalled

	// Of the last page.
	hasCounters bool // there are counters of progress
	perStep     bool // some of them move with each step
	generated   bool // some of them have moved since the process started
	counters    []float64
	requests    float64
	gaugeLag    time.Duration

	gpus           busyMeter
	lastRead       time.Time // when a read last ended
	lastReadFailed bool
	lastProgress   time.Time // when a counter was last seen to move
	workSince      time.Time // zero: it has no work
	stalled        bool
	message        string
}

func newStallDetector(after time.Duration, progress time.Time) stallDetector {
	if after == 0 {
		after = DefaultStallAfter
	}
	window := busyWindow
	if after > 0 {
		window = min(window, after/2)
	}
	return stallDetector{after: after, lastProgress: progress, gpus: busyMeter{full: window}}
}

// pageRead updates the detector after a page.
func (d *stallDetector) pageRead(now time.Time, work runtimes.Work) {
	if d.hasCounters && len(work.Counters) == len(d.counters) && !slices.Equal(work.Counters, d.counters) {
		d.lastProgress = now
	}
	d.hasCounters, d.perStep, d.generated = work.HasCounters, work.PerStep, work.Moved
	d.counters, d.requests, d.gaugeLag = work.Counters, work.Requests, work.GaugeLag
	d.lastRead, d.lastReadFailed = now, false
	d.updateWork(now)
}

// readFailed updates the detector after a failed read. After a timeout or a lost connection the requests of the last page still count.
func (d *stallDetector) readFailed(now time.Time, kind fetch.Kind) {
	if kind != fetch.NoAnswer {
		d.requests = 0
	}
	d.lastRead, d.lastReadFailed = now, true
	d.updateWork(now)
}

// processObserved updates the detector with the state of the engine's GPUs.
func (d *stallDetector) processObserved(now time.Time, o ProcessStatus) {
	if o.GPUKnown && !o.Lockstep {
		d.gpus.observe(now, o.HoldsGPU && o.GPUBusy)
	} else {
		d.gpus.reset()
	}
	d.updateWork(now)
}

// forgetWork is called when the process ends: the next one has no work and has generated nothing.
func (d *stallDetector) forgetWork() {
	d.generated = false
	d.requests, d.workSince, d.stalled, d.message = 0, time.Time{}, false, ""
	d.gpus.reset()
}

// updateWork sets workSince.
func (d *stallDetector) updateWork(now time.Time) {
	busy := d.gpus.since(now)
	switch {
	case d.requests == 0 && busy.IsZero():
		d.workSince = time.Time{}
	case !d.workSince.IsZero():
	case d.requests == 0:
		d.workSince = busy
	default:
		d.workSince = now
	}
}

// limit is how long the engine may make no progress.
func (d *stallDetector) limit() time.Duration {
	if d.requests > 0 && d.gpus.since(d.lastRead).IsZero() && d.after < 2*d.gaugeLag {
		return 2 * d.gaugeLag // the requests may have ended
	}
	if !d.perStep || !d.generated {
		return max(d.after, minSlowStallAfter)
	}
	return d.after
}

// noProgressSince is since when the engine has had work and made no progress.
func (d *stallDetector) noProgressSince() time.Time {
	if d.lastProgress.After(d.workSince) {
		return d.lastProgress
	}
	return d.workSince
}

// due is when the engine becomes stalled if it makes no progress; zero: never.
func (d *stallDetector) due() time.Time {
	if d.after < 0 || !d.hasCounters || d.workSince.IsZero() {
		return time.Time{}
	}
	return d.noProgressSince().Add(d.limit())
}

// update sets stalled and reports whether it has changed. While reads succeed, an engine becomes stalled only when a page that was read
// after due shows no progress.
func (d *stallDetector) update(now time.Time) (changed bool) {
	due := d.due()
	stalled := !due.IsZero() && !now.Before(due) && (d.lastReadFailed || !d.lastRead.Before(due))
	if stalled == d.stalled {
		return false
	}
	d.stalled, d.message = stalled, ""
	if stalled {
		d.message = fmt.Sprintf("no token for %s with %s", now.Sub(d.noProgressSince()).Round(time.Second), d.work())
	}
	return true
}

// work describes the work that the engine has.
func (d *stallDetector) work() string {
	switch n := math.Round(d.requests); {
	case d.requests == 0:
		return "its GPUs busy"
	case n <= 1:
		return "1 request in flight"
	default:
		return fmt.Sprintf("%.0f requests in flight", n)
	}
}

// readInterval is how long the engine may go unread.
func (d *stallDetector) readInterval() time.Duration {
	if d.workSince.IsZero() || d.after < 0 {
		return checkInterval
	}
	return min(checkInterval, max(minReadInterval, d.after/3))
}
