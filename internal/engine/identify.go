package engine

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// firstAsk and lastAsk bound the pauses between questions for a version or model that is not known.
	firstAsk = 5 * time.Second
	lastAsk  = 5 * time.Minute
)

// identify asks the engine for its version and model where these were not declared. It reports whether all is known.
func (e *Engine) identify(ctx context.Context) bool {
	e.mu.Lock()
	epoch, runtimeName, labelled := e.epoch, e.status.Runtime, e.labelled
	e.mu.Unlock()

	p := prober{e.fetcher, e.target}
	if runtimeName == "" {
		runtimeName = p.who(ctx)
	}
	found := Identity{Runtime: runtimeName, Version: e.declared.Version, Model: e.declared.Model}
	err := p.complete(ctx, &found, labelled)

	e.mu.Lock()
	defer e.mu.Unlock()
	if epoch != e.epoch || ctx.Err() != nil {
		return true // another question is under way
	}
	was := e.status.Identity
	e.status.Runtime = cmp.Or(was.Runtime, found.Runtime)
	// An engine whose model has no name anywhere goes by the name of its instance.
	e.rename(cmp.Or(found.Version, was.Version), cmp.Or(found.Model, was.Model, e.status.Name))
	e.modelless()
	if e.settle() {
		e.logger.Info("engine is known", "runtime", e.status.Runtime, "version", e.status.Version, "model", e.status.Model)
		if err != nil {
			e.logger.Warn("engine does not tell all about itself", "missing", clip(err.Error(), 500))
		}
	}
	if e.status.Identity != was {
		e.onChange()
	}
	return err == nil
}

// complete asks for what found lacks. labelled is the model's name in the labels of the engine's page.
func (p prober) complete(ctx context.Context, found *Identity, labelled string) error {
	r, known := byName(found.Runtime)
	if r.gateway {
		found.Model, labelled = "", ""
	}
	model := p.model
	if r.model != nil {
		model = func(ctx context.Context) (string, error) { return r.model(ctx, p) }
	}
	var wg sync.WaitGroup
	var versionErr, modelErr error
	if known && found.Version == "" && r.version != nil {
		wg.Go(func() { found.Version, versionErr = r.version(ctx, p) })
	}
	if found.Model == "" {
		wg.Go(func() { found.Model, modelErr = model(ctx) })
	}
	wg.Wait()
	switch {
	case modelErr != nil && labelled != "":
		found.Model, modelErr = labelled, nil
	case errors.Is(modelErr, errNoModel): // asking again would not help
		modelErr = nil
	}
	var unknown error
	if found.Runtime == "" {
		unknown = errors.New("its page shows no known engine: declare runtime=")
	}
	return errors.Join(unknown, versionErr, modelErr)
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
