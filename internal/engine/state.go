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
		fe = &fetch.Error{Kind: fetch.NoAnswer, Reason: fetch.ReasonLost, Detail: err.Error()}
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
		answered := e.process.Answered()
		if !answered {
			e.firstAnswerWait.failed(now)
		}
		state, why, message := e.stateOf(now, fe, loading)
		e.failure = noMetrics(fe.Reason)
		if changed = e.setState(state, why, message); changed {
			log := e.logger.Warn
			if state == fleet.InstanceStarting {
				log = e.logger.Info
			}
			log("engine scrape failed", "state", string(state), "reason", message)
		}
		if state == fleet.InstanceError && !answered {
			changed = e.forgetOwnName() || changed
			e.askUnidentified(fe)
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

// stateOf returns the state after a failed fetch, the reason of the transition and the message.
func (e *Engine) stateOf(now time.Time, fe *fetch.Error, loading bool) (fleet.InstanceState, reason, string) {
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
	case !e.process.Answered():
		state, message := e.unanswered(now, fe, loading)
		return state, why, message
	case fe.Kind == fetch.WrongAnswer:
		return fleet.InstanceError, why, fe.Error()
	}
	return fleet.InstanceUnreachable, why, fe.Error()
}

// askUnidentified asks an engine that answers, but with no metrics page, which model it serves: once for each process, and then with the
// pauses of identify. The caller holds e.mu.
func (e *Engine) askUnidentified(fe *fetch.Error) {
	if e.status.Model != "" || e.status.HasNoModel() || fe.Kind != fetch.WrongAnswer || e.naming.asked {
		return
	}
	e.naming.asked = true
	select {
	case e.askIdentity <- struct{}{}:
	default:
	}
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
	if lostModel(e.models.onPage, seen.Models) {
		e.process.ForgetCounters() // those of the model are gone from the sum
	}
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
	roleChanged := e.readRole(page, started)
	if e.status.State != fleet.InstanceRunning {
		e.logger.Info("engine scraped", "runtime", e.status.Runtime)
	}
	if first || restarted {
		e.missing = missingMetrics{}
	}
	changed := e.setState(fleet.InstanceRunning, why, "") || restarted || recognised || first || renamed || roleChanged
	changed = e.pageLacks(now, number, seen.lack, page) || changed
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
