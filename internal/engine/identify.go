package engine

import (
	"cmp"
	"context"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
)

const (
	// firstAsk and lastAsk bound the pauses between questions for an unknown version or model.
	firstAsk = 5 * time.Second
	lastAsk  = 5 * time.Minute
)

// identify asks the engine for its version and model where these were not declared. It reports whether all is known.
func (e *Engine) identify(ctx context.Context) bool {
	e.mu.Lock()
	starts, runtimeName, modelLabel := e.starts, e.status.Runtime, e.modelLabel
	e.mu.Unlock()

	known := Identity{Runtime: runtimeName, Version: e.declared.Version, Model: e.declared.Model}
	found, err := runtimes.Identify(ctx, e.fetcher, e.target, known, modelLabel)

	e.mu.Lock()
	defer e.mu.Unlock()
	if starts != e.starts || ctx.Err() != nil {
		return true // the engine has started again, and Run asks again
	}
	was := e.status.Identity
	e.status.Runtime = cmp.Or(was.Runtime, found.Runtime)
	// Without any model name the instance's name stands for it.
	e.rename(cmp.Or(found.Version, was.Version), cmp.Or(found.Model, was.Model, e.status.Name))
	e.dropGatewayModel()
	if e.closeIdentified() {
		e.logger.Info("engine identified", "runtime", e.status.Runtime, "version", e.status.Version, "model", e.status.Model)
		if err != nil {
			e.logger.Warn("engine identified in part", "missing", clip.Line(err.Error(), 500))
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
