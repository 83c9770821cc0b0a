package engine

import (
	"cmp"
	"context"
	"time"

	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	// firstAsk and lastAsk bound the pauses between questions for a version or model that is not known.
	firstAsk = 5 * time.Second
	lastAsk  = 5 * time.Minute
)

// identify asks the engine for its version and model where these were not declared. It reports whether all is known.
func (e *Engine) identify(ctx context.Context) bool {
	e.mu.Lock()
	epoch, runtimeName, labelled := e.starts, e.status.Runtime, e.modelLabel
	e.mu.Unlock()

	known := Identity{Runtime: runtimeName, Version: e.declared.Version, Model: e.declared.Model}
	found, err := runtimes.Identify(ctx, e.fetcher, e.target, known, labelled)

	e.mu.Lock()
	defer e.mu.Unlock()
	if epoch != e.starts || ctx.Err() != nil {
		return true // another question is under way
	}
	was := e.status.Identity
	e.status.Runtime = cmp.Or(was.Runtime, found.Runtime)
	// An engine whose model has no name anywhere goes by the name of its instance.
	e.rename(cmp.Or(found.Version, was.Version), cmp.Or(found.Model, was.Model, e.status.Name))
	e.dropGatewayModel()
	if e.closeIdentified() {
		e.logger.Info("engine is known", "runtime", e.status.Runtime, "version", e.status.Version, "model", e.status.Model)
		if err != nil {
			e.logger.Warn("engine does not tell all about itself", "missing", fleet.Clip(err.Error(), 500))
		}
	}
	if e.status.Identity != was {
		e.onChange()
	}
	return err == nil
}

// askPauses is when to ask again for what is not known.
type askPauses struct {
	pause time.Duration
	timer <-chan time.Time
}

func (a *askPauses) reset() { *a = askPauses{} }

func (a *askPauses) due() <-chan time.Time { return a.timer }

func (a *askPauses) next(done bool) {
	if done {
		a.timer = nil
		return
	}
	a.pause = min(max(2*a.pause, firstAsk), lastAsk)
	a.timer = time.After(a.pause)
}
