package runtimes

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Identity is what an engine is. Empty: not known.
type Identity struct {
	Runtime string `json:"runtime,omitempty"`
	Version string `json:"version,omitempty"`
	Model   string `json:"model,omitempty"`
	// Weights are what the engine says it has loaded under the model's name. They may be a path, which is not kept on disk.
	Weights string `json:"-"`
}

// ModelError is the part of Identify's error that says why the model is not known.
type ModelError struct{ err error }

func (e *ModelError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *ModelError) Unwrap() error { return e.err }

// Identify requests what known lacks from the engine at t, and returns known with it. modelLabel is the model's name in the labels of the
// engine's page. A router is not asked: its page has a port of its own, where nothing answers but the page. The error says what is still
// missing and may come with a later request.
func Identify(ctx context.Context, f *fetch.Fetcher, t fetch.Target, known Identity, modelLabel string, role fleet.Role) (Identity, error) {
	var root string
	p := prober{fetcher: f, target: t, root: &root}
	if role == fleet.RoleRouter && routerPrefixes[known.Runtime] != nil {
		known.Model = cmp.Or(known.Model, modelLabel)
		return known, nil
	}
	if known.Runtime == "" {
		known.Runtime = p.runtime(ctx)
	}
	r, ok := ByName(known.Runtime)
	if r.Gateway {
		known.Model, modelLabel = "", ""
	}
	askModel := r.model
	if askModel == nil {
		askModel = listedModel
	}
	var wg sync.WaitGroup
	var versionErr, modelErr error
	if ok && known.Version == "" && r.version != nil {
		wg.Go(func() { known.Version, versionErr = r.version(ctx, p) })
	}
	if known.Model == "" {
		wg.Go(func() { known.Model, modelErr = askModel(ctx, p) })
	}
	wg.Wait()
	// Some engines repeat the model's name. vLLM's is the name that it was started with.
	if root != known.Model || known.Runtime == "vLLM" {
		known.Weights = root
	}
	switch {
	case modelErr != nil && modelLabel != "":
		known.Model, modelErr = modelLabel, nil
	case errors.Is(modelErr, errNoModel): // asking again would not help
		modelErr = nil
	}
	if modelErr != nil {
		modelErr = &ModelError{modelErr}
	}
	var runtimeErr error
	if known.Runtime == "" {
		runtimeErr = errors.New("its page shows no known engine: declare runtime=")
	}
	return known, errors.Join(runtimeErr, versionErr, modelErr)
}
