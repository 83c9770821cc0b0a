package process

import (
	"math"
	"time"
)

// SameRestartWindow bounds the time between a restart that a page shows and a new process without a start time if both are one restart.
const SameRestartWindow = 30 * time.Second

// Verdict is what a Judge says about a status or a page.
type Verdict int

// Verdicts.
const (
	// Ignored: it tells nothing about the process.
	Ignored Verdict = iota
	// SameProcess: it is of the process that is known.
	SameProcess
	// FirstSeen: it is the first status at all, or the first page of a process.
	FirstSeen
	// NewProcess: it is of another process than the one before.
	NewProcess
	// Ended: the process is gone.
	Ended
	// Returned: the process that was said to be gone is there.
	Returned
)

// Decision is a Verdict with what goes with it.
type Decision struct {
	Verdict Verdict
	// Of a NewProcess: when it started, and by what it was told from the one before. Known: a page showed it already.
	Started time.Time
	Reason  string
	Known   bool
}

// Page is what a page tells about the process that wrote it.
type Page struct {
	Runtime string
	// Start is when the process started, in Unix seconds; 0: the page does not say.
	Start float64
	// RestartCounters is the sum of counters that fall only when the engine restarts.
	RestartCounters float64
}

// Judge follows the process of one engine. The zero value has seen nothing. It is not safe for concurrent use.
//
// Discovery and pages tell about the same process at different times, and either may be first. A restart that both tell of is one: it
// is a NewProcess twice, the second time Known or as a page that is FirstSeen.
type Judge struct {
	seen   bool // a status was seen of the process
	id     ID
	seenAt time.Time // when a status was last seen
	ended  bool

	hasPage bool // there was a page of the process
	last    Page
	// down: nothing listened, or the process ended, since the last page.
	down bool
	// restartedAt is when a page last showed a restart.
	restartedAt time.Time
}

// Seen reports whether discovery has seen the process.
func (j *Judge) Seen() bool { return j.seen }

// HasEnded reports whether the process has ended.
func (j *Judge) HasEnded() bool { return j.ended }

// Answered reports whether there was a page of the process.
func (j *Judge) Answered() bool { return j.hasPage }

// Refused notes that nothing listened at the engine's address.
func (j *Judge) Refused() { j.down = true }

// Status judges what discovery sees of the process now.
func (j *Judge) Status(now time.Time, id ID) Decision {
	if id.isZero() {
		return Decision{}
	}
	decision := Decision{Verdict: SameProcess}
	switch {
	case !j.seen && !j.ended:
		decision.Verdict = FirstSeen
	case !j.seen || j.id.Compare(id) == Other:
		decision = j.replaced(now, id)
		j.id, j.ended = ID{}, false
	case j.ended:
		decision.Verdict = Returned
		j.ended, j.down = false, false
	}
	j.seen, j.seenAt, j.id = true, now, j.id.merge(id)
	return decision
}

// replaced decides about a status of another process than the one before.
func (j *Judge) replaced(now time.Time, id ID) Decision {
	decision := Decision{Verdict: NewProcess, Started: id.Started, Reason: "another process", Known: j.shown(now, id)}
	if decision.Started.IsZero() {
		decision.Started = now
	}
	if !decision.Known {
		j.hasPage, j.down, j.last = false, false, Page{} // the last page was the old process'
	}
	return decision
}

// shown reports whether the page has shown the restart to this process: it had started when the page showed one.
func (j *Judge) shown(now time.Time, id ID) bool {
	switch {
	case j.restartedAt.IsZero():
		return false
	case id.Started.IsZero():
		return now.Sub(j.restartedAt) < SameRestartWindow
	}
	return !id.Started.After(j.restartedAt.Add(StartTolerance))
}

// End judges the news that a process ended. id may be empty.
func (j *Judge) End(id ID) Decision {
	switch {
	case j.ended || j.id.Compare(id) == Other:
		return Decision{}
	case j.seen && j.restartedAt.After(j.seenAt):
		// The next process' page was faster than the news of the end.
		j.seen, j.id = false, ID{}
		return Decision{}
	}
	j.ended, j.down = true, true
	return Decision{Verdict: Ended}
}

// Page judges a page.
func (j *Judge) Page(now time.Time, page Page) Decision {
	decision := Decision{Verdict: FirstSeen}
	if j.hasPage {
		decision.Verdict = SameProcess
		if reason := j.restart(page); reason != "" {
			decision = Decision{Verdict: NewProcess, Started: now, Reason: reason}
			if page.Start > 0 {
				decision.Started = time.Unix(0, int64(page.Start*1e9))
			}
			j.restartedAt = now
		}
	}
	j.hasPage, j.down, j.ended, j.last = true, false, false, page
	return decision
}

// restart returns by what page shows another process than the page before, or "". Where both have a start time, that alone decides.
func (j *Judge) restart(page Page) string {
	const rounding = 1e-9
	switch {
	case page.Runtime != "" && j.last.Runtime != "" && page.Runtime != j.last.Runtime:
		return "another runtime"
	case page.Start > 0 && j.last.Start > 0:
		if math.Abs(page.Start-j.last.Start) > StartTolerance.Seconds() {
			return "another start time"
		}
		return ""
	case j.down:
		return "it was down"
	case page.RestartCounters < j.last.RestartCounters*(1-rounding):
		return "its counters fell"
	}
	return ""
}
