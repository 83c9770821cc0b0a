package engine

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/engine/process"
	"github.com/stackscope/stackscope/internal/fleet"
)

// fetchFailed notes a fetch without a page.
func (e *Engine) fetchFailed(begun uint64, err error) {
	fe, ok := errors.AsType[*fetch.Error](err)
	if !ok {
		fe = &fetch.Error{Kind: fetch.Silent, Detail: err.Error()}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if fe.Kind == fetch.Cancelled || begun < e.lastEnded {
		return
	}
	e.noteFetchEnded(begun)
	now := time.Now()
	if fe.Kind == fetch.Refused {
		e.process.Refused()
	}
	loading := fe.Status == http.StatusServiceUnavailable
	if fe.Kind == fetch.Refused || loading {
		e.start.fromBeginning = true // it is not running yet
	}
	changed := false
	if !e.process.HasEnded() {
		state, why := e.stateOf(fe, loading)
		if changed = e.setState(state, why, fe.Error()); changed {
			log := e.logger.Warn
			if state == fleet.InstanceStarting {
				log = e.logger.Info
			}
			log("engine cannot be read", "state", string(state), "reason", fe.Error())
		}
	}
	e.stall.readFailed(now, fe.Kind)
	if e.updateStall(now) || changed {
		e.onChange()
	}
}

// noteFetchEnded notes that a fetch has ended. The Status is changed before e.mu is given back.
func (e *Engine) noteFetchEnded(begun uint64) {
	select {
	case <-e.fetched:
	default:
		close(e.fetched)
	}
	e.lastEnded = begun
}

// stateOf is the state of an engine whose page could not be had.
func (e *Engine) stateOf(fe *fetch.Error, loading bool) (fleet.InstanceState, reason) {
	why := becauseLost
	switch {
	case fe.Kind == fetch.Wrong:
		why = becauseWrong
	case fe.Kind == fetch.Refused:
		why = becauseRefused
	case fe.TimedOut:
		why = becauseTimeout
	}
	switch {
	// Some listen before they have loaded and answer that they are not there yet.
	case !e.process.Answered() && loading && e.process.Seen():
		return fleet.InstanceStarting, why
	case fe.Kind == fetch.Wrong:
		return fleet.InstanceError, why
	case !e.process.Answered():
		return fleet.InstanceStarting, why
	}
	return fleet.InstanceUnreachable, why
}

// pageFetched notes a page and returns the channel that is closed when it is known what the engine is.
func (e *Engine) pageFetched(begun uint64, page []byte) <-chan struct{} {
	now := e.observePage(page)
	e.mu.Lock()
	defer e.mu.Unlock()
	if begun < e.lastEnded {
		return e.identified
	}
	e.noteFetchEnded(begun)
	at := time.Now()
	answeredBefore := e.process.Answered()
	decision := e.process.Page(at, process.Page{Runtime: now.runtime, Start: now.Start, RestartCounters: now.RestartCounters})
	first, restarted, why := decision.Verdict == process.FirstSeen, decision.Verdict == process.NewProcess, becauseAgain
	switch {
	case first:
		why = becauseAnswer
		e.firstAnswer = at
		for _, p := range e.start.finish(at) {
			e.phases[p.index].observe(p.took)
		}
	case restarted:
		why = becauseRestarted
		e.firstAnswer = at
		e.stall.forgetWork()
		e.countRestart(decision)
	}
	recognised := now.runtime != "" && now.runtime != e.status.Runtime
	// An engine that was away may be another one, unless its page says that it is the same process.
	back := answeredBefore && e.status.State == fleet.InstanceUnreachable && now.Start == 0
	if restarted || recognised || back || first {
		e.starts++
		e.closeIdentified()
		e.identified = make(chan struct{})
		if now.runtime != "" {
			e.status.Runtime = now.runtime
			e.dropGatewayModel()
		}
		e.modelLabel = ""
		if r, ok := e.runtimeNamed(e.status.Runtime); ok && now.model == "" {
			e.modelLabel = r.ModelLabel(page) // it was not looked for
		}
		select {
		case e.askIdentity <- struct{}{}:
		default:
		}
	}
	e.modelLabel = cmp.Or(e.modelLabel, now.model)
	if e.status.State != fleet.InstanceRunning {
		e.logger.Info("engine is read", "runtime", e.status.Runtime)
	}
	changed := e.setState(fleet.InstanceRunning, why, "") || restarted || recognised || first
	e.stall.pageRead(at, now.Work)
	if e.updateStall(at) || changed {
		e.onChange()
	}
	return e.identified
}

// closeIdentified closes identified and reports whether it was open.
func (e *Engine) closeIdentified() bool {
	select {
	case <-e.identified:
		return false
	default:
		close(e.identified)
		return true
	}
}

func (e *Engine) countRestart(d process.Decision) {
	e.status.RestartCount++
	e.status.LastRestartAt = d.Started
	e.logger.Info("engine was restarted", "restarts", e.status.RestartCount, "at", d.Started, "reason", d.Reason)
}

// updateStall decides whether the engine is stalled and reports whether that is new.
func (e *Engine) updateStall(now time.Time) bool {
	if working := !e.stall.workSince.IsZero(); working != e.hadWork {
		e.hadWork = working
		e.wakeRun()
	}
	if !e.stall.update(now) {
		return false
	}
	if e.stall.stalled {
		e.logger.Warn("engine is stalled", "reason", e.stall.message)
	} else {
		e.logger.Info("engine is no longer stalled")
	}
	return true
}
