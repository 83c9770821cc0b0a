package instances

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
)

// name returns the name of an engine that was found: the one that the operator set, else its container's, else MODEL-WORKER-PORT.
// If another instance than before has that name, a number is added, as in qwen-2, and kept over restarts of the worker. fault says what was
// wrong with a name that cannot be used as it is; empty: nothing.
func (m *Manager) name(f discovery.Found, before *Instance) (distinct, fault string) {
	name := f.Instance
	if _, container, ok := strings.Cut(f.Key, "docker:"); ok && name == "" {
		name, _, _ = strings.Cut(container, ":")
	}
	if name == "" {
		kind := strings.ToLower(f.Runtime)
		if f.Role == fleet.RoleRouter {
			kind += "-router"
		}
		d := engine.Declaration{URL: f.URL, Model: cmp.Or(f.Model, kind)}
		name = d.Name(m.opts.Worker)
	}
	if name, fault = fleet.Fitted(name, fleet.MaxName); fault != "" {
		fault = "the instance's name " + fault + "; it is shown as " + fleet.Cut(name, maxNameShown) + ": give another with the label or the variable stackscope.instance, or instance= with --engine"
	}
	if kept := m.store.nameOf(f.Key); numbered(kept, name) && !m.taken(kept, before) {
		return kept, fault
	}
	distinct = name
	for n := 2; m.taken(distinct, before); n++ {
		number := fmt.Sprintf("-%d", n)
		distinct = fleet.Cut(name, fleet.MaxName-len(number)) + number
	}
	return distinct, fault
}

const maxNameShown = 64

// taken reports whether an instance other than before has the name.
func (m *Manager) taken(name string, before *Instance) bool {
	for _, in := range m.byKey {
		if in != before && (in.engine.Status().Name == name || in.currentModels().uses(name)) {
			return true
		}
	}
	return false
}

// numbered reports whether kept is name with a number added.
func numbered(kept, name string) bool {
	number, ok := strings.CutPrefix(kept, name+"-")
	if !ok {
		return false
	}
	_, err := strconv.ParseUint(number, 10, 16)
	return err == nil
}
