package engine

import (
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/fleet"
)

// maxRenames is how often an engine's model or version may change in renameWindow. Each change makes new series of all its metrics.
const (
	maxRenames   = 20
	renameWindow = time.Hour
)

// renames counts the changes of an engine's model and version.
type renames struct {
	began time.Time
	n     int
}

// allow reports whether one more change is accepted, and whether it is the first that is not.
func (r *renames) allow(now time.Time) (ok, first bool) {
	if r.began.IsZero() || now.Sub(r.began) >= renameWindow {
		*r = renames{began: now}
	}
	r.n++
	return r.n <= maxRenames, r.n == maxRenames+1
}

// rename sets the version and model, unless they change too often. The caller holds e.mu.
func (e *Engine) rename(version, model string) {
	// An engine may send anything. Invisible characters are spelled out.
	version = fleet.Spelled(version, fleet.MaxVersion)
	model, fault := fleet.Fitted(model, fleet.MaxModelName)
	if runtimes.IsGateway(e.status.Runtime) {
		model = e.status.Model // it has none
	}
	if fault != "" && model == e.status.Model {
		e.naming.fault = fault
	}
	if version == e.status.Version && model == e.status.Model {
		return
	}
	ok, first := e.renames.allow(time.Now())
	if ok {
		e.status.Version, e.status.Model = version, model
		e.naming.fault = fault
	}
	if first {
		e.logger.Warn("engine keeps changing its model or version: changes are ignored for up to an hour, because each one makes new series of all its metrics; declare model= and version=",
			"most", maxRenames, "model", e.status.Model, "version", e.status.Version, "now", clip.Line(model, 100))
	}
}
