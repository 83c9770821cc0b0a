package engine

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
)

const (
	// minAskPause and maxAskPause bound the pauses between requests for an unknown version or model.
	minAskPause = 5 * time.Second
	maxAskPause = 5 * time.Minute
)

// identify requests the version and model from the engine unless they are declared. It reports whether both are known.
func (e *Engine) identify(ctx context.Context) bool {
	e.mu.Lock()
	starts, runtimeName, modelLabel, role, routed := e.starts, e.status.Runtime, e.modelLabel, e.status.Role, e.described.Model
	e.mu.Unlock()

	known := Identity{Runtime: runtimeName, Version: e.declared.Version, Model: cmp.Or(e.declared.Model, routed)}
	found, err := runtimes.Identify(ctx, e.fetcher, e.target, known, modelLabel, role)

	e.mu.Lock()
	defer e.mu.Unlock()
	if starts != e.starts || ctx.Err() != nil {
		return true // the engine has started again, so askIdentity is signalled again
	}
	was := e.status.Identity
	e.status.Runtime = cmp.Or(was.Runtime, found.Runtime)
	e.status.Weights = cmp.Or(found.Weights, was.Weights)
	named := cmp.Or(found.Model, was.Model)
	e.naming.ownName = named == "" || e.naming.ownName && found.Model == ""
	e.naming.failed = ""
	if failed, ok := errors.AsType[*runtimes.ModelError](err); ok && !notFound(failed) {
		e.naming.failed = clip.Line(failed.Error(), maxNamingShown)
	}
	if e.process.Answered() { // an engine that runs without a model's name gets the instance's
		named = cmp.Or(named, e.ownModel())
	}
	e.rename(cmp.Or(found.Version, was.Version), named)
	e.dropGatewayModel()
	described := e.applyDescription()
	if e.closeIdentified() && (err == nil || e.process.Answered()) {
		e.logger.Info("engine identified", "runtime", e.status.Runtime, "version", e.status.Version, "model", e.status.Model)
		if err != nil {
			e.logger.Warn("engine identified in part", "missing", clip.Line(strings.ReplaceAll(err.Error(), "\n", "; "), 500))
		}
	}
	if e.status.Identity != was || described {
		e.onChange()
	}
	return err == nil
}

// notFound reports whether the engine has no list of models, as some have none.
func notFound(err error) bool {
	fe, ok := errors.AsType[*fetch.Error](err)
	return ok && fe.Status == http.StatusNotFound
}

// askPauses says when to request an unknown version or model again.
type askPauses struct {
	pauses backoff.Backoff
	timer  <-chan time.Time
}

func (a *askPauses) reset() { *a = askPauses{} }

func (a *askPauses) due() <-chan time.Time { return a.timer }

func (a *askPauses) next(done bool) {
	if done {
		a.timer = nil
		return
	}
	a.timer = time.After(a.pauses.Next(minAskPause, maxAskPause))
}
