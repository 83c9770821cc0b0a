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
	// patience is the least such time for an engine that has not brought forth one token since its start, since kernels are
	// compiled and graphs captured with its first requests, and for one that counts only when a request ends, since one
	// long answer shows nothing until then.
	patience = 10 * time.Minute
	// leastInterval bounds how often an engine with work is read for the sake of a short StallAfter.
	leastInterval = time.Second
)

// watch tells whether the engine gets on with its work. It is stalled when it had work without interruption and no counter
// of its progress moved for the configured time, counted from the later of both beginnings. Work is requests on its page
// or, as pages show none in some wedges and others do not answer at all, cards at work.
type watch struct {
	after time.Duration // negative: never stalled

	known  bool // there was a page with counters
	live   bool
	ever   bool
	counts []float64
	load   float64
	lag    time.Duration
	cards  busyMeter

	read     time.Time // when a read last ended
	mute     bool      // that one without a page
	progress time.Time // when a counter was last seen to move
	since    time.Time // since when it has work; zero: it has none
	stalled  bool
	message  string
}

func newWatch(after time.Duration, progress time.Time) watch {
	if after == 0 {
		after = DefaultStallAfter
	}
	window := busyWindow
	if after > 0 {
		window = min(window, after/2)
	}
	return watch{after: after, progress: progress, cards: busyMeter{full: window}}
}

// page notes what a page tells.
func (w *watch) page(now time.Time, seen runtimes.Work) {
	if w.known && len(seen.Counters) == len(w.counts) && !slices.Equal(seen.Counters, w.counts) {
		w.progress = now
	}
	w.known, w.live, w.ever, w.counts, w.load, w.lag = seen.HasCounters, seen.PerStep, seen.Moved, seen.Counters, seen.Requests, seen.GaugeLag
	w.read, w.mute = now, false
	w.flight(now)
}

// noPage notes a read that failed. The requests of the page before are still there unless the failure says otherwise.
func (w *watch) noPage(now time.Time, kind fetch.Kind) {
	if kind != fetch.Silent {
		w.load = 0
	}
	w.read, w.mute = now, true
	w.flight(now)
}

// look notes what the engine's cards do.
func (w *watch) look(now time.Time, o ProcessStatus) {
	if o.GPUKnown && !o.Lockstep {
		w.cards.see(now, o.HoldsGPU && o.GPUBusy)
	} else {
		w.cards.reset()
	}
	w.flight(now)
}

// restart forgets the work of a process that is no more. The next one has generated nothing yet.
func (w *watch) restart() {
	w.ever = false
	w.load, w.since, w.stalled, w.message = 0, time.Time{}, false, ""
	w.cards.reset()
}

// flight keeps since.
func (w *watch) flight(now time.Time) {
	cards := w.cards.since(now)
	switch {
	case w.load == 0 && cards.IsZero():
		w.since = time.Time{}
	case !w.since.IsZero():
	case w.load == 0:
		w.since = cards
	default:
		w.since = now
	}
}

// limit is how long it may make no progress.
func (w *watch) limit() time.Duration {
	if w.load > 0 && w.cards.since(w.read).IsZero() && w.after < 2*w.lag {
		return 2 * w.lag // what it shows may be over
	}
	if !w.live || !w.ever {
		return max(w.after, patience)
	}
	return w.after
}

// base is from when on no progress counts.
func (w *watch) base() time.Time {
	if w.progress.After(w.since) {
		return w.progress
	}
	return w.since
}

// due is when it will be stalled if nothing happens; zero: not at all.
func (w *watch) due() time.Time {
	if w.after < 0 || !w.known || w.since.IsZero() {
		return time.Time{}
	}
	return w.base().Add(w.limit())
}

// judge decides whether it is stalled and reports whether that is new. A stall needs a page that was read after it was due
// and shows no progress; where no page comes, the time alone decides.
func (w *watch) judge(now time.Time) (changed bool) {
	due := w.due()
	stalled := !due.IsZero() && !now.Before(due) && (w.mute || !w.read.Before(due))
	if stalled == w.stalled {
		return false
	}
	w.stalled, w.message = stalled, ""
	if stalled {
		w.message = fmt.Sprintf("no token for %s with %s", now.Sub(w.base()).Round(time.Second), w.has())
	}
	return true
}

// has words what work it has.
func (w *watch) has() string {
	switch n := math.Round(w.load); {
	case w.load == 0:
		return "its cards at work"
	case n <= 1:
		return "1 request in flight"
	default:
		return fmt.Sprintf("%.0f requests in flight", n)
	}
}

// interval is how long the engine may go unread.
func (w *watch) interval() time.Duration {
	if w.since.IsZero() || w.after < 0 {
		return checkInterval
	}
	return min(checkInterval, max(leastInterval, w.after/3))
}
