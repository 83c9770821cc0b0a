package process

import (
	"math"
	"time"
)

// SameRestartWindow bounds the time between a restart that a page shows and the discovery of a process without a start time. Within it
// both are the same restart.
const SameRestartWindow = 30 * time.Second

// Outcome is what a Tracker concludes from a status, an end or a page.
type Outcome int

// Outcomes.
const (
	// Ignored: it says nothing new about the process.
	Ignored Outcome = iota
	// SameProcess: it comes from the known process.
	SameProcess
	// FirstSeen: it is the first status at all, or the first page of a process.
	FirstSeen
	// NewProcess: it comes from another process than the one before.
	NewProcess
	// Ended: the process is gone.
	Ended
	// Returned: the process had been reported as ended, but it runs.
	Returned
)

// Decision is an Outcome with its details.
type Decision struct {
	Outcome Outcome
	// Only of a NewProcess: when it started, how it was detected, and whether a page has shown it already.
	Started time.Time
	Reason  string
	Known   bool
}

// Page is what a page shows of the process that wrote it.
type Page struct {
	Runtime string
	// Start is when the process started, in Unix seconds; 0: the page does not say.
	Start float64
	// RestartCounters is the sum of counters that fall only when the engine restarts.
	RestartCounters float64
}

// Tracker follows the process of one engine. The zero value is ready for use. It is not safe for concurrent use.
//
// Discovery and pages show the same restart at different times, in either order. It must count once. If the page is first, the status is
// a NewProcess that is Known; if the status is first, the page is FirstSeen.
type Tracker struct {
	seen   bool // discovery has seen the process
	id     ID
	seenAt time.Time // when a status was last seen
	ended  bool

	hasPage bool // there was a page of the process
	last    Page
	// down: since the last page nothing listened, or the process ended.
	down bool
	// restartedAt is when a page last showed a restart.
	restartedAt time.Time
}

// Seen reports whether discovery has seen the process.
func (t *Tracker) Seen() bool { return t.seen }

// HasEnded reports whether the process has ended.
func (t *Tracker) HasEnded() bool { return t.ended }

// Answered reports whether the process has sent a page.
func (t *Tracker) Answered() bool { return t.hasPage }

// Refused notes that nothing listened at the engine's address.
func (t *Tracker) Refused() { t.down = true }

// ForgetCounters makes the next page's counters no sign of a restart.
func (t *Tracker) ForgetCounters() { t.last.RestartCounters = 0 }

// Status takes what discovery sees of the process now.
func (t *Tracker) Status(now time.Time, id ID) Decision {
	if id.isZero() {
		return Decision{}
	}
	decision := Decision{Outcome: SameProcess}
	switch {
	case !t.seen && !t.ended:
		decision.Outcome = FirstSeen
	case !t.seen || t.id.Compare(id) == Other:
		decision = t.replaced(now, id)
		t.id, t.ended = ID{}, false
	case t.ended:
		decision.Outcome = Returned
		t.ended, t.down = false, false
	}
	t.seen, t.seenAt, t.id = true, now, t.id.merge(id)
	return decision
}

// replaced returns the decision for a status of another process than the one before.
func (t *Tracker) replaced(now time.Time, id ID) Decision {
	decision := Decision{Outcome: NewProcess, Started: id.Started, Reason: "another process", Known: t.shown(now, id)}
	if decision.Started.IsZero() {
		decision.Started = now
	}
	if !decision.Known {
		t.hasPage, t.down, t.last = false, false, Page{} // the last page was the old process'
	}
	return decision
}

// shown reports whether a page has shown the restart to this process already: the process had started by then.
func (t *Tracker) shown(now time.Time, id ID) bool {
	switch {
	case t.restartedAt.IsZero():
		return false
	case id.Started.IsZero():
		return now.Sub(t.restartedAt) < SameRestartWindow
	}
	return !id.Started.After(t.restartedAt.Add(StartTolerance))
}

// End takes the end of a process. id may be empty.
func (t *Tracker) End(id ID) Decision {
	switch {
	case t.ended || t.id.Compare(id) == Other:
		return Decision{}
	case t.seen && t.restartedAt.After(t.seenAt):
		// A page of the next process came before the end of this one was seen.
		t.seen, t.id = false, ID{}
		return Decision{}
	}
	t.ended, t.down = true, true
	return Decision{Outcome: Ended}
}

// Page takes a page.
func (t *Tracker) Page(now time.Time, page Page) Decision {
	decision := Decision{Outcome: FirstSeen}
	if t.hasPage {
		decision.Outcome = SameProcess
		if reason := t.restart(page); reason != "" {
			decision = Decision{Outcome: NewProcess, Started: now, Reason: reason}
			if page.Start > 0 {
				decision.Started = time.Unix(0, int64(page.Start*1e9))
			}
			t.restartedAt = now
		}
	}
	t.hasPage, t.down, t.ended, t.last = true, false, false, page
	return decision
}

// restart returns how page differs from the last page of the process if another process wrote it, else "". If both have a start time,
// only that counts.
func (t *Tracker) restart(page Page) string {
	const rounding = 1e-9
	switch {
	case page.Runtime != "" && t.last.Runtime != "" && page.Runtime != t.last.Runtime:
		return "another runtime"
	case page.Start > 0 && t.last.Start > 0:
		if math.Abs(page.Start-t.last.Start) > StartTolerance.Seconds() {
			return "another start time"
		}
		return ""
	case t.down:
		return "it was down"
	case page.RestartCounters < t.last.RestartCounters*(1-rounding):
		return "its counters fell"
	}
	return ""
}
