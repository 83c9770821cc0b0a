package engine

import (
	"math"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// ProcessStatus is what is known about an engine from outside of its page.
type ProcessStatus struct {
	PID       int       // 0: not known
	Started   time.Time // of its process; zero: not known
	Listening bool      // its port is open
	Gone      bool      // its process ended, or its container
	GPUKnown  bool      // whether the processes on the cards are known at all
	HoldsGPU  bool      // its processes hold memory of a card
	GPUBusy   bool      // they, or the cards that they alone hold, are at work
	Lockstep  bool      // that they are at work may be for other engines' requests
}

// sameRestart is within which time a restart that a page showed and a new process without a start time are taken for one.
const sameRestart = 30 * time.Second

// process is the engine's process as it was last seen.
type process struct {
	known   bool
	pid     int
	started time.Time
	seen    time.Time
}

// is reports whether o is of this process. A process keeps its id; its start time, which is made from the clock and may be
// set right with it, decides only where an id is not known.
func (p process) is(o ProcessStatus) bool {
	switch {
	case p.pid != 0 && o.PID != 0:
		return p.pid == o.PID
	case !p.started.IsZero() && !o.Started.IsZero():
		return math.Abs(o.Started.Sub(p.started).Seconds()) <= startTolerance
	}
	return true
}

// Observe notes what is known from outside. It is called about once a second and at each change, from any goroutine.
func (e *Engine) Observe(o ProcessStatus) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	changed := false
	if o.Gone {
		changed = e.ended(now, o)
	} else {
		changed = e.there(now, o)
		e.watch.look(now, o)
	}
	if e.judge(now) || changed {
		e.onChange()
	}
}

// ended notes that the engine's process is no more.
func (e *Engine) ended(now time.Time, o ProcessStatus) (changed bool) {
	switch {
	case e.gone || !e.process.is(o):
		return false
	case e.process.known && e.restartSeen.After(e.process.seen):
		// The page of a new process was there already: the news is late.
		e.process = process{}
		return false
	}
	e.gone, e.refused = true, true
	e.seen = e.started + 1 // answers that are on their way are its last ones
	e.start = start{}
	e.watch.restart()
	e.watch.read, e.watch.mute = now, true
	changed = e.turn(fleet.InstanceUnreachable, becauseEnded, "its process ended")
	if changed {
		e.logger.Warn("engine's process ended")
	}
	return changed
}

// there notes that the engine's process is there.
func (e *Engine) there(now time.Time, o ProcessStatus) (changed bool) {
	if o.PID == 0 && o.Started.IsZero() {
		return false // nobody has found its process
	}
	switch {
	case !e.process.known && !e.gone:
		e.follow(now, o)
	case e.process.known && e.process.is(o):
		if e.gone { // it was thought to have ended
			e.gone, e.refused = false, false
			e.hurry()
		}
	default:
		if !e.restartTold(now, o) {
			e.renew()
			at := o.Started
			if at.IsZero() {
				at = now
			}
			e.countRestart(at)
			changed = e.turn(fleet.InstanceStarting, becauseRestarted, "its process was restarted")
		}
		e.process, e.gone = process{}, false
		e.follow(now, o)
		e.hurry()
	}
	p := &e.process
	p.known, p.seen = true, now
	if p.pid == 0 {
		p.pid = o.PID
	}
	if p.started.IsZero() {
		p.started = o.Started
	}
	wasListening := !e.start.listened.IsZero()
	e.start.see(now, o)
	if e.start.on && !wasListening && o.Listening {
		e.hurry()
	}
	return changed
}

// follow begins to follow the start of a process that was not seen before.
func (e *Engine) follow(now time.Time, o ProcessStatus) {
	e.start = newStart(now, o)
	if !e.answers || !e.start.on {
		return
	}
	// Its page was there before we saw its process. How long its whole start took is known if that is not long ago.
	if began := e.start.began; e.start.seen && now.Sub(began) < freshStart && !e.firstAnswer.Before(began) {
		e.phases[phaseAll].observe(e.firstAnswer.Sub(began))
	}
	e.start = start{}
}

// restartTold reports whether the page has told of this new process before: one that had started when the page showed a
// restart.
func (e *Engine) restartTold(now time.Time, o ProcessStatus) bool {
	switch {
	case e.restartSeen.IsZero():
		return false
	case o.Started.IsZero():
		return now.Sub(e.restartSeen) < sameRestart
	}
	return !o.Started.After(e.restartSeen.Add(startTolerance * time.Second))
}

// renew forgets what was learned of the process that is no more, but for what stays true of the engine.
func (e *Engine) renew() {
	e.answers, e.refused, e.last = false, false, sighting{}
	e.seen = e.started + 1
	e.pause = 0
	e.watch.restart()
}
