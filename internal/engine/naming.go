package engine

import (
	"github.com/stackscope/stackscope/internal/fleet"
)

// maxNamingShown bounds what a message shows of why the model is not known, in bytes.
const maxNamingShown = 300

// naming is what is wrong with the model's name. Engine.mu guards it.
type naming struct {
	// fault is what fleet.Fitted says of the name that the engine or the operator gave.
	fault string
	// ownName: the model is named after the instance, because the engine did not name it.
	ownName bool
	// failed is why it did not; empty: engines of its runtime do not.
	failed string
	// asked: it was asked for its model without a page.
	asked bool
}

// message returns what is to be said of the model's name; empty: nothing.
func (n *naming) message(s *Status) string {
	switch {
	case s.Model == "":
		return ""
	case n.fault != "":
		return "the model's name " + n.fault + "; it is shown as " + fleet.Cut(s.Model, maxModelShown) + ": give another with the engine's option for it (vLLM: --served-model-name), or model= with --engine"
	case n.ownName && n.failed != "" && s.State == fleet.InstanceRunning:
		return "the model's name is not known, and the instance's stands for it (" + n.failed + "): give model= with --engine"
	}
	return ""
}

const maxModelShown = 64

// Messages of an engine that has no model and nothing else to say.
const (
	noAnswerYet   = "it has not answered yet, and its model is not known"
	modelAskedFor = "it answers, and is being asked which model it serves"
)

// noModelMessage says why an engine has no model; empty: it is none of those that have one.
func noModelMessage(s *Status) string {
	switch {
	case s.Role == fleet.RoleRouter && s.Runtime != "" && s.State == fleet.InstanceRunning:
		return noModelYet
	case s.HasNoModel():
		return ""
	case s.State == fleet.InstanceRunning:
		return modelAskedFor
	}
	return noAnswerYet
}

// setModel sets the model's name as it was given. The caller holds e.mu, or nobody else knows e.
func (e *Engine) setModel(name string) {
	e.status.Model, e.naming.fault = fleet.Fitted(name, fleet.MaxModelName)
}

// forgetOwnName takes the instance's name from the model of an engine that does not answer: an earlier version gave it to those that never had,
// too. It reports whether it did. The caller holds e.mu.
func (e *Engine) forgetOwnName() bool {
	if !e.naming.ownName || e.status.Model == "" {
		return false
	}
	e.naming.ownName = false
	e.setModel("")
	return true
}
