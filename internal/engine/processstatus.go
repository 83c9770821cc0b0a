package engine

import (
	"time"

	"github.com/stackscope/stackscope/internal/engine/process"
	"github.com/stackscope/stackscope/internal/fleet"
)

// ProcessStatus is what discovery and the GPUs show of an engine's process.
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

// Observe updates the engine with the status of its process. It is called about once a second and at each change, from any goroutine.
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
	e.lastEnded = e.fetches + 1 // ignore fetches in progress: they are of the old process
	e.start = startup{}
	e.stall.forgetWork()
	e.stall.lastRead, e.stall.lastReadFailed = now, true
	e.failure = processGone
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
	if !e.process.Answered() {
		e.firstAnswerWait.observe(now, s)
	}
	wasListening := !e.start.listened.IsZero()
	e.start.observe(now, s)
	if e.start.following && !wasListening && s.Listening {
		e.readSoon()
	}
	return changed
}

// followStartup begins to measure the start of a new process.
func (e *Engine) followStartup(now time.Time, s ProcessStatus) {
	e.start = newStartup(now, s)
	if !e.process.Answered() || !e.start.following {
		return
	}
	// Its page came before its process was seen, so the phases are unknown. The whole start is known if the process is young.
	if began := e.start.began; e.start.fromBeginning && now.Sub(began) < freshStart && !e.firstAnswer.Before(began) {
		e.phases[phaseAll].observe(e.firstAnswer.Sub(began))
	}
	e.start = startup{}
}

// forgetProcess drops the state of the previous process.
func (e *Engine) forgetProcess() {
	e.lastEnded = e.fetches + 1
	e.retryPause = 0
	e.firstAnswerWait = firstAnswerWait{}
	e.naming.asked = false
	e.stall.forgetWork()
}
