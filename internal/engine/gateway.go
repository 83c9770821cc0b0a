package engine

import "context"

// Gateway reports whether the runtime is known to be a gateway: it stands in front of engines, may know users, and serves no
// model of its own.
func Gateway(runtime string) bool {
	r, ok := byName(runtime)
	return ok && r.gateway
}

// noModel is for what does not say which model it serves.
func noModel(context.Context, prober) (string, error) { return "", errNoModel }
