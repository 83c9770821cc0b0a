package instances

import (
	"cmp"
	"time"

	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
)

// replacedBy reports whether what was found at the instance's place is another engine, by what the operator says about both.
func (in *Instance) replacedBy(f discovery.Found) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return differ(in.found.Model, f.Model) || differ(in.found.Runtime, f.Runtime) || differ(in.found.Instance, f.Instance)
}

// foundOtherwise returns the instance whose process was found by another source before; nil: there is none. A container's process is
// found first when the container's daemon is slow.
func (m *Manager) foundOtherwise(f discovery.Found, there map[string]bool) *Instance {
	for key, in := range m.byKey {
		if !in.declared && !there[key] && f.PID != 0 && in.found.PID == f.PID && in.found.Started.Equal(f.Started) && in.found.Source != f.Source {
			return in
		}
	}
	return nil
}

// inherit stops the instance that was there before, if any, names its successor and returns the successor's history: that of before if
// the name or the process is the same, else what the store knows of the name. A new process under the same name is a restart.
func (m *Manager) inherit(before *Instance, f discovery.Found, d *engine.Declaration) engine.History {
	if before == nil {
		d.Instance = m.name(f, nil)
		return m.store.engine(d.Instance).History
	}
	before.stop()
	name := before.engine.Status().Name
	d.Instance = name
	if before.key != f.Key || before.replacedBy(f) {
		d.Instance = m.name(f, before)
	}
	sameProcess := f.PID != 0 && f.PID == before.pid
	if d.Instance != name && !sameProcess {
		return m.store.engine(d.Instance).History
	}
	history := before.engine.History()
	if !sameProcess {
		history.RestartCount++
		history.LastRestartAt = cmp.Or(f.Started, time.Now())
	}
	return history
}
