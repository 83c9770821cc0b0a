package instances

import (
	"maps"
	"strings"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/fleet"
)

// fronted are the models of a frontend that other engines of this worker serve, in lower case. It is immutable.
type fronted map[string]bool

// roleOf returns the role of one of the engine's models: of a frontend's that engines serve it is RoleRouter, because those count its
// requests as well.
func (in *Instance) roleOf(s *engine.Status, model string) fleet.Role {
	if s.Role == "" {
		if models := in.fronted.Load(); models != nil && (*models)[strings.ToLower(model)] {
			return fleet.RoleRouter
		}
	}
	return s.Role
}

// followFrontends finds out which models of frontends other engines serve, and reports whether that has changed. The caller holds m.mu.
func (m *Manager) followFrontends() (changed bool) {
	var served map[string]bool
	for _, in := range m.byKey {
		s := in.engine.Status()
		if !runtimes.IsFrontend(s.Runtime) {
			if in.fronted.Load() != nil {
				in.fronted.Store(nil)
				changed = true
			}
			continue
		}
		if served == nil {
			served = m.servedModels()
		}
		models := fronted{}
		for _, model := range in.modelNames(&s) {
			if model = strings.ToLower(model); served[model] {
				models[model] = true
			}
		}
		if before := in.fronted.Load(); before == nil && len(models) > 0 || before != nil && !maps.Equal(*before, models) {
			in.fronted.Store(&models)
			changed = true
		}
	}
	return changed
}

// servedModels returns the models of all engines but frontends, routers and gateways, in lower case: Dynamo's frontend writes its models in
// lower case.
func (m *Manager) servedModels() map[string]bool {
	served := map[string]bool{}
	for _, in := range m.byKey {
		s := in.engine.Status()
		if runtimes.IsFrontend(s.Runtime) || runtimes.IsGateway(s.Runtime) || s.Role == fleet.RoleRouter {
			continue
		}
		for _, model := range in.modelNames(&s) {
			served[strings.ToLower(model)] = true
		}
	}
	return served
}

// modelNames returns the names of the engine's models.
func (in *Instance) modelNames(s *engine.Status) []string {
	var names []string
	p := in.currentModels()
	for _, model := range p.instances {
		names = append(names, model.model)
	}
	names = append(names, p.folded...)
	if !p.areSeveral() && s.Model != "" {
		names = append(names, s.Model)
	}
	if p.page != nil {
		names = append(names, p.page.Names...)
	}
	return names
}
