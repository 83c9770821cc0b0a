package engine

import (
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// reason is why a state changed.
type reason string

const (
	becauseAnswer    reason = "first_answer"  // its page answers for the first time since it started
	becauseAgain     reason = "answers_again" // its page answers again
	becauseRefused   reason = "refused"       // nothing listens at its address
	becauseTimeout   reason = "timeout"       // it did not answer in time
	becauseLost      reason = "lost"          // the connection broke, or there is no way to it
	becauseWrong     reason = "wrong_answer"  // it answered, but with no metrics page
	becauseEnded     reason = "process_ended"
	becauseRestarted reason = "restarted"
)

// transition is a change of state.
type transition struct {
	from, to fleet.InstanceState
	reason   reason
}

// transitionCounts counts transitions in the order in which they were first seen. States and reasons are few, so it is bounded.
type transitionCounts struct {
	kinds  []transition
	counts []uint64
}

// newTransitionCounts begins with the transitions that alerts wait for at 0, because rate() misses the first increase of a series that
// begins at 1.
func newTransitionCounts() transitionCounts {
	const running, starting, unreachable = fleet.InstanceRunning, fleet.InstanceStarting, fleet.InstanceUnreachable
	t := transitionCounts{kinds: []transition{
		{starting, running, becauseAnswer},
		{running, fleet.InstanceError, becauseWrong},
		{running, unreachable, becauseRefused},
		{running, unreachable, becauseTimeout},
		{running, unreachable, becauseLost},
		{running, unreachable, becauseEnded},
		{running, starting, becauseRestarted},
	}}
	t.counts = make([]uint64, len(t.kinds))
	return t
}

func (t *transitionCounts) count(change transition) {
	for i, s := range t.kinds {
		if s == change {
			t.counts[i]++
			return
		}
	}
	t.kinds = append(t.kinds, change)
	t.counts = append(t.counts, 1)
}

// setState brings the engine into a state and reports whether that, or its message, is new. The caller holds e.mu.
func (e *Engine) setState(to fleet.InstanceState, why reason, message string) bool {
	if e.status.State == to && e.status.Message == message {
		return false
	}
	if from := e.status.State; from != to {
		e.transitions.count(transition{from, to, why})
		e.status.Since = stateBegins(time.Now())
		e.resume(to)
	}
	e.status.State, e.status.Message = to, message
	return true
}

// earlierState is the state in which an earlier run of the worker left the engine.
type earlierState struct {
	state fleet.InstanceState
	since time.Time
}

// stateBegins returns now as a state's Since: the worker saves it and reports it in seconds.
func stateBegins(now time.Time) time.Time { return now.UTC().Truncate(time.Second) }

// resume gives the first state that is known of the engine the time at which an earlier run of the worker saw it begin, unless the process is
// a later one. The caller holds e.mu.
func (e *Engine) resume(state fleet.InstanceState) {
	before := e.earlier
	if state != fleet.InstanceStarting {
		e.earlier = earlierState{} // what comes next is a change
	}
	if before.state != state || before.since.IsZero() || before.since.After(e.status.Since) {
		return
	}
	latest := before.since.Add(time.Second) // it is in whole seconds
	if e.firstAnswerWait.status.Started.After(latest) || e.status.LastRestartAt.After(latest) {
		return
	}
	e.status.Since = before.since
}
