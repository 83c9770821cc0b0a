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
	// minSlowStallAfter is the least such time for an engine that has not brought forth one token since its start, since kernels are
	// compiled and graphs captured with its first requests, and for one that counts only when a request ends, since one
	// long answer shows nothing until then.
	minSlowStallAfter = 10 * time.Minute
	// minReadInterval bounds how often an engine with work is read for the sake of a short StallAfter.
	minReadInterval = time.Second
)

// stallDetector tells whether the engine gets on with its work. It is stalled when it had work without interruption and no counter
// of its progress moved for the configured time, counted from the later of both beginnings. Work is requests on its page
// or, as pages show none in some hangs and others do not answer at all, GPUs at work.
type stallDetector struct {
	after time.Duration // negative: never stalled

	hasCounters bool // there was a page with counters
	perStep     bool
	generated   bool
	counters    []float64
	requests    float64
	gaugeLag    time.Duration
	gpus        busyMeter

	lastRead       time.Time // when a read last ended
	lastReadFailed bool      // that one without a page
	lastProgress   time.Time // when a counter was last seen to move
	workSince      time.Time // since when it has work; zero: it has none
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

// pageRead notes what a pageRead tells.
func (w *stallDetector) pageRead(now time.Time, seen runtimes.Work) {
	if w.hasCounters && len(seen.Counters) == len(w.counters) && !slices.Equal(seen.Counters, w.counters) {
		w.lastProgress = now
	}
	w.hasCounters, w.perStep, w.generated, w.counters, w.requests, w.gaugeLag = seen.HasCounters, seen.PerStep, seen.Moved, seen.Counters, seen.Requests, seen.GaugeLag
	w.lastRead, w.lastReadFailed = now, false
	w.updateWork(now)
}

// readFailed notes a read that failed. The requests of the page before are still there unless the failure says otherwise.
func (w *stallDetector) readFailed(now time.Time, kind fetch.Kind) {
	if kind != fetch.Silent {
		w.requests = 0
	}
	w.lastRead, w.lastReadFailed = now, true
	w.updateWork(now)
}

// processObserved notes what the engine's cards do.
func (w *stallDetector) processObserved(now time.Time, o ProcessStatus) {
	if o.GPUKnown && !o.Lockstep {
		w.gpus.observe(now, o.HoldsGPU && o.GPUBusy)
	} else {
		w.gpus.reset()
	}
	w.updateWork(now)
}

// forgetWork forgets the work of a process that is no more. The next one has generated nothing yet.
func (w *stallDetector) forgetWork() {
	w.generated = false
	w.requests, w.workSince, w.stalled, w.message = 0, time.Time{}, false, ""
	w.gpus.reset()
}

// updateWork keeps since.
func (w *stallDetector) updateWork(now time.Time) {
	cards := w.gpus.since(now)
	switch {
	case w.requests == 0 && cards.IsZero():
		w.workSince = time.Time{}
	case !w.workSince.IsZero():
	case w.requests == 0:
		w.workSince = cards
	default:
		w.workSince = now
	}
}

// limit is how long it may make no progress.
func (w *stallDetector) limit() time.Duration {
	if w.requests > 0 && w.gpus.since(w.lastRead).IsZero() && w.after < 2*w.gaugeLag {
		return 2 * w.gaugeLag // what it shows may be over
	}
	if !w.perStep || !w.generated {
		return max(w.after, minSlowStallAfter)
	}
	return w.after
}

// noProgressSince is from when on no progress counts.
func (w *stallDetector) noProgressSince() time.Time {
	if w.lastProgress.After(w.workSince) {
		return w.lastProgress
	}
	return w.workSince
}

// due is when it will be stalled if nothing happens; zero: not at all.
func (w *stallDetector) due() time.Time {
	if w.after < 0 || !w.hasCounters || w.workSince.IsZero() {
		return time.Time{}
	}
	return w.noProgressSince().Add(w.limit())
}

// update decides whether it is stalled and reports whether that is new. A stall needs a page that was read after it was due
// and shows no progress; where no page comes, the time alone decides.
func (w *stallDetector) update(now time.Time) (changed bool) {
	due := w.due()
	stalled := !due.IsZero() && !now.Before(due) && (w.lastReadFailed || !w.lastRead.Before(due))
	if stalled == w.stalled {
		return false
	}
	w.stalled, w.message = stalled, ""
	if stalled {
		w.message = fmt.Sprintf("no token for %s with %s", now.Sub(w.noProgressSince()).Round(time.Second), w.work())
	}
	return true
}

// work words what work it work.
func (w *stallDetector) work() string {
	switch n := math.Round(w.requests); {
	case w.requests == 0:
		return "its cards at work"
	case n <= 1:
		return "1 request in flight"
	default:
		return fmt.Sprintf("%.0f requests in flight", n)
	}
}

// readInterval is how long the engine may go unread.
func (w *stallDetector) readInterval() time.Duration {
	if w.workSince.IsZero() || w.after < 0 {
		return checkInterval
	}
	return min(checkInterval, max(minReadInterval, w.after/3))
}
