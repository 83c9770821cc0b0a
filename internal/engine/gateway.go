package engine

import "github.com/stackscope/stackscope/internal/engine/runtimes"

// dropGatewayModel drops the model of a gateway, declared or found before the gateway was recognised. The caller holds e.mu.
func (e *Engine) dropGatewayModel() {
	if !runtimes.IsGateway(e.status.Runtime) || e.status.Model == "" {
		return
	}
	if e.declared.Model != "" && e.status.Model == e.declared.Model {
		e.logger.Warn("gateway has no model of its own: omit model=", "runtime", e.status.Runtime, "model", e.declared.Model)
	}
	e.status.Model = ""
}
