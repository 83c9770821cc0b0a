package engine

import (
	"cmp"

	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Description is what discovery and the other engines show of an engine, beside its process.
type Description struct {
	Role      fleet.Role
	Group     string
	Connector string
	Upstreams string
	// Model is the model of the engines to which a router passes requests; empty: not known.
	Model string
	// Source and SourceKey are where its model comes from.
	Source, SourceKey string
}

// noModelYet is the message of a router without a model.
const noModelYet = "it is a router and has no model: none of the engines that it passes requests to is known; monitor one of them or give model= and role=router with --engine"

// maxRoleReads is how many pages after a start are searched for the role. A page may lack metrics with labels until the first request.
const maxRoleReads = 10

// pageRole is the role that the pages since the last start show, and what passes the KV cache.
type pageRole struct {
	role           fleet.Role
	reads          int // that are left
	connector      string
	connectorReads int
}

// Describe updates the engine with what discovery shows. It is called about once a second, from any goroutine.
func (e *Engine) Describe(d Description) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d == e.described {
		return
	}
	e.described = d
	if e.applyDescription() {
		e.onChange()
	}
}

// applyDescription updates the status and reports whether that changed it. What is declared comes first, then what discovery shows, then
// the page. The caller holds e.mu.
func (e *Engine) applyDescription() bool {
	before := e.status
	s, d := &e.status, e.described
	s.Role = cmp.Or(e.declared.Role, d.Role, e.pageRole.role)
	s.Group = cmp.Or(e.declared.Group, d.Group)
	s.Upstreams = d.Upstreams
	s.Connector = ""
	if s.Role.Computes() {
		s.Connector = fleet.Spelled(cmp.Or(e.declared.Connector, d.Connector, e.pageRole.connector), fleet.MaxKind)
	}
	if s.Source, s.SourceKey = d.Source, d.SourceKey; s.Source == "" {
		s.Source, s.SourceKey = fleet.ModelSource(s.Weights)
	}
	if s.Role == fleet.RoleRouter && e.declared.Model == "" && d.Model != "" {
		e.rename(s.Version, d.Model)
	}
	return *s != before
}

// readRole searches a page for the role and the connector; began says that it is the first one after a start of the engine. It reports
// whether the status changed. The caller holds e.mu.
func (e *Engine) readRole(page []byte, began bool) bool {
	p := &e.pageRole
	if began {
		*p = pageRole{reads: maxRoleReads, connectorReads: maxRoleReads}
	}
	if p.reads == 0 && (p.connectorReads == 0 || !e.status.Role.Computes()) {
		return false
	}
	r, known := e.runtimeNamed(e.status.Runtime)
	if p.reads > 0 {
		p.reads--
		if known {
			if role, ok := r.Role(page); ok {
				p.role, p.reads = role, 0
			}
		}
	}
	changed := e.applyDescription()
	if known && p.connectorReads > 0 && e.status.Role.Computes() {
		p.connectorReads--
		if p.connector = r.Connector(page); p.connector != "" {
			p.connectorReads = 0
			changed = e.applyDescription() || changed
		}
	}
	return changed
}

// ownModel returns the model's name for an engine that has not told it: the instance's name, but none for a router, whose model is that of
// other engines. The caller holds e.mu.
func (e *Engine) ownModel() string {
	if e.status.Role == fleet.RoleRouter {
		return e.described.Model
	}
	return e.status.Name
}

// HasNoModel reports whether an engine in this state is complete without a model: a gateway, or a router of engines that are not known.
// A server takes neither without its runtime.
func (s *Status) HasNoModel() bool {
	return runtimes.IsGateway(s.Runtime) || s.Role == fleet.RoleRouter && s.Runtime != ""
}
