package engine

import (
	"time"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	// failedTries is how often an engine that never answered is read before it counts as failed, unless its process is seen to run.
	// Reads count as one try if they are less than tryInterval apart, so how often the worker is scraped does not matter: the engine
	// fails 20 to 45 seconds after its first read.
	failedTries = 3
	tryInterval = 10 * time.Second
	// maxStart is how long a process may take until it answers: vLLM takes up to half an hour for large weights. It may take up to
	// maxBusyStart if progressWindow has not passed since it last showed progress.
	maxStart       = 30 * time.Minute
	maxBusyStart   = 2 * time.Hour
	progressWindow = 10 * time.Minute
)

// firstAnswerWait follows an engine until it answers for the first time since it started.
type firstAnswerWait struct {
	tries    int       // failed ones
	first    time.Time // of the tries
	last     time.Time
	began    time.Time // of the process, or when it was first seen
	status   ProcessStatus
	progress time.Time // when the process last showed some
}

// failed records a failed read.
func (w *firstAnswerWait) failed(now time.Time) {
	if w.tries > 0 && now.Sub(w.last) < tryInterval {
		return
	}
	if w.tries == 0 {
		w.first = now
	}
	w.tries++
	w.last = now
}

func (w *firstAnswerWait) exhausted() bool { return w.tries >= failedTries }

// observe records the status of the process.
func (w *firstAnswerWait) observe(now time.Time, s ProcessStatus) {
	before := w.status
	w.status = s
	if w.began.IsZero() {
		w.began, w.progress = now, now
		if !s.Started.IsZero() && s.Started.Before(now) {
			w.began = s.Started
		}
		return
	}
	if s.GPUBusy || s.HoldsGPU != before.HoldsGPU || s.Listening != before.Listening {
		w.progress = now
	}
	if s.Listening && !before.Listening {
		w.tries = 0 // what failed before it listened says nothing about the address
	}
}

// slow reports whether the process takes longer than a start may take.
func (w *firstAnswerWait) slow(now time.Time) bool {
	age := now.Sub(w.began)
	return age >= maxBusyStart || age >= maxStart && now.Sub(w.progress) >= progressWindow
}

// unanswered returns the state and the message of an engine that has not answered since it started, after a failed read.
func (e *Engine) unanswered(now time.Time, fe *fetch.Error, loading bool) (fleet.InstanceState, string) {
	w, hasProcess := &e.firstAnswerWait, e.process.Seen()
	switch {
	// Some engines listen before they have loaded, and answer 503 until then.
	case fe.Kind == fetch.WrongAnswer && (!loading || !hasProcess):
		return fleet.InstanceError, fe.Error()
	case !hasProcess && w.exhausted():
		return fleet.InstanceError, fe.Error()
	case !hasProcess:
		return fleet.InstanceStarting, fe.Error()
	case !w.exhausted():
		return fleet.InstanceStarting, fe.Detail + ": its process runs and does not answer yet"
	}
	// The times do not change, so that the message is logged once.
	since := " since " + w.first.UTC().Format(time.RFC3339)
	switch {
	case fe.Kind == fetch.Refused && w.status.Listening:
		return fleet.InstanceError, fe.Detail + since + ", although its process listens on that port: is the host right, and does the engine listen on that address (--host)?"
	case w.slow(now):
		return fleet.InstanceError, fe.Detail + since + ": its process runs since " + w.began.UTC().Format(time.RFC3339) + " and has not answered: is the port right? See the engine's log"
	}
	return fleet.InstanceStarting, fe.Detail + since + ": its process runs and does not answer yet"
}
