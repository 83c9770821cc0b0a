package engine

import "context"

// Gateway reports whether the runtime is known to be a gateway: it stands in front of engines, may know users, and serves no
// model of its own.
func Gateway(runtime string) bool {
	r, ok := byName(runtime)
	return ok && r.gateway
}

// modelless takes the model from a gateway: one that was declared, or was taken for one before it was known what it is. The
// caller holds e.mu.
func (e *Engine) modelless() {
	if !Gateway(e.status.Runtime) || e.status.Model == "" {
		return
	}
	if e.declared.Model != "" && e.status.Model == e.declared.Model {
		e.logger.Warn("gateway has no model of its own: leave model= out", "runtime", e.status.Runtime, "model", e.declared.Model)
	}
	e.status.Model = ""
}

// noModel is for what does not say which model it serves.
func noModel(context.Context, prober) (string, error) { return "", errNoModel }
