package engine

import (
	"time"

	"github.com/stackscope/stackscope/internal/engine/process"
	"github.com/stackscope/stackscope/internal/fleet"
)

// ProcessStatus is what is known of an engine's process without its page.
type ProcessStatus struct {
	PID       int       // 0: not known
	Started   time.Time // of the process; zero: not known
	Listening bool      // its port is open
	Gone      bool      // the process ended, or its container
	GPUKnown  bool      // whether the processes on the GPUs are known at all
	HoldsGPU  bool      // its processes hold memory of a GPU
	GPUBusy   bool      // they, or the GPUs that they alone hold, are busy
	Lockstep  bool      // GPUBusy may be for other engines' requests
}

func (s ProcessStatus) id() process.ID { return process.ID{PID: s.PID, Started: s.Started} }

// Observe takes what is known of the process now. It is called about once a second and at each change, from any goroutine.
func (e *Engine) Observe(s ProcessStatus) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	changed := false
	if s.Gone {
		changed = e.processEnded(now, s)
	} else {
		changed = e.processThere(now, s)
		e.stall.processObserved(now, s)
	}
	if e.updateStall(now) || changed {
		e.onChange()
	}
}

func (e *Engine) processEnded(now time.Time, s ProcessStatus) (changed bool) {
	if e.process.End(s.id()).Outcome != process.Ended {
		return false
	}
	e.lastEnded = e.fetches + 1 // answers that are under way are the old process'
	e.start = startup{}
	e.stall.forgetWork()
	e.stall.lastRead, e.stall.lastReadFailed = now, true
	changed = e.setState(fleet.InstanceUnreachable, becauseEnded, "its process ended")
	if changed {
		e.logger.Warn("engine's process ended")
	}
	return changed
}

func (e *Engine) processThere(now time.Time, s ProcessStatus) (changed bool) {
	decision := e.process.Status(now, s.id())
	switch decision.Outcome {
	case process.Ignored:
		return false
	case process.FirstSeen:
		e.followStartup(now, s)
	case process.Returned:
		e.readSoon()
	case process.NewProcess:
		if !decision.Known {
			e.forgetProcess()
			e.countRestart(decision)
			changed = e.setState(fleet.InstanceStarting, becauseRestarted, "its process was restarted")
		}
		e.followStartup(now, s)
		e.readSoon()
	}
	wasListening := !e.start.listened.IsZero()
	e.start.observe(now, s)
	if e.start.following && !wasListening && s.Listening {
		e.readSoon()
	}
	return changed
}

// followStartup begins to measure the start of a process that was not seen before.
func (e *Engine) followStartup(now time.Time, s ProcessStatus) {
	e.start = newStartup(now, s)
	if !e.process.Answered() || !e.start.following {
		return
	}
	// Its page was there before its process was seen. How long the whole start took is known if that is not long ago.
	if began := e.start.began; e.start.fromBeginning && now.Sub(began) < freshStart && !e.firstAnswer.Before(began) {
		e.phases[phaseAll].observe(e.firstAnswer.Sub(began))
	}
	e.start = startup{}
}

// forgetProcess forgets what was learned of the process before.
func (e *Engine) forgetProcess() {
	e.lastEnded = e.fetches + 1
	e.retryPause = 0
	e.stall.forgetWork()
}
