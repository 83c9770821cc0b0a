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

// fetchFailed updates the state after a failed fetch.
func (e *Engine) fetchFailed(number uint64, err error) {
	fe, ok := errors.AsType[*fetch.Error](err)
	if !ok {
		fe = &fetch.Error{Kind: fetch.NoAnswer, Detail: err.Error()}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if fe.Kind == fetch.Cancelled || number < e.lastEnded {
		return
	}
	e.noteFetchEnded(number)
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
			log("engine scrape failed", "state", string(state), "reason", fe.Error())
		}
	}
	e.stall.readFailed(now, fe.Kind)
	if e.updateStall(now) || changed {
		e.onChange()
	}
}

// noteFetchEnded closes fetched. The caller holds e.mu until it has updated the Status, so that whoever waits for fetched sees the update.
func (e *Engine) noteFetchEnded(number uint64) {
	select {
	case <-e.fetched:
	default:
		close(e.fetched)
	}
	e.lastEnded = number
}

// stateOf returns the state after a failed fetch, and the reason of the transition.
func (e *Engine) stateOf(fe *fetch.Error, loading bool) (fleet.InstanceState, reason) {
	why := becauseLost
	switch {
	case fe.Kind == fetch.WrongAnswer:
		why = becauseWrong
	case fe.Kind == fetch.Refused:
		why = becauseRefused
	case fe.TimedOut:
		why = becauseTimeout
	}
	switch {
	// Some engines listen before they have loaded, and answer 503 until then.
	case !e.process.Answered() && loading && e.process.Seen():
		return fleet.InstanceStarting, why
	case fe.Kind == fetch.WrongAnswer:
		return fleet.InstanceError, why
	case !e.process.Answered():
		return fleet.InstanceStarting, why
	}
	return fleet.InstanceUnreachable, why
}

// pageFetched updates the state after a page. It returns the channel that is closed when version and model were requested.
func (e *Engine) pageFetched(number uint64, page []byte) <-chan struct{} {
	seen := e.observePage(page)
	e.mu.Lock()
	defer e.mu.Unlock()
	if number < e.lastEnded {
		return e.identified
	}
	e.noteFetchEnded(number)
	now := time.Now()
	answeredBefore := e.process.Answered()
	decision := e.process.Page(now, process.Page{Runtime: seen.runtime, Start: seen.Start, RestartCounters: seen.RestartCounters})
	first, restarted, why := decision.Outcome == process.FirstSeen, decision.Outcome == process.NewProcess, becauseAgain
	switch {
	case first:
		why = becauseAnswer
		e.firstAnswer = now
		for _, p := range e.start.finish(now) {
			e.phases[p.index].observe(p.took)
		}
	case restarted:
		why = becauseRestarted
		e.firstAnswer = now
		e.stall.forgetWork()
		e.countRestart(decision)
	}
	recognised := seen.runtime != "" && seen.runtime != e.status.Runtime
	// An engine that comes back may be another one, unless the page has the start time of its process.
	back := answeredBefore && e.status.State == fleet.InstanceUnreachable && seen.Start == 0
	started := restarted || recognised || back || first
	if started {
		e.starts++
		e.closeIdentified()
		e.identified = make(chan struct{})
		if seen.runtime != "" {
			e.status.Runtime = seen.runtime
			e.dropGatewayModel()
		}
		e.modelLabel = ""
		if r, ok := e.runtimeNamed(e.status.Runtime); ok && seen.model == "" {
			e.modelLabel = r.ModelLabel(page) // observePage did not look for it
		}
		select {
		case e.askIdentity <- struct{}{}:
		default:
		}
	}
	e.modelLabel = cmp.Or(e.modelLabel, seen.model)
	renamed := e.takeModels(&seen, started)
	if e.status.State != fleet.InstanceRunning {
		e.logger.Info("engine scraped", "runtime", e.status.Runtime)
	}
	changed := e.setState(fleet.InstanceRunning, why, "") || restarted || recognised || first || renamed
	e.stall.pageRead(now, seen.Work)
	if e.updateStall(now) || changed {
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
	e.logger.Info("engine restarted", "restarts", e.status.RestartCount, "at", d.Started, "reason", d.Reason)
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
