package instances

import (
	"cmp"
	"time"

	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/process"
)

// replacedBy reports whether f is another engine at the same key: one with another model, runtime or name. It does not compare processes;
// package process does.
func (in *Instance) replacedBy(f discovery.Found) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return differ(in.found.Model, f.Model) || differ(in.found.Runtime, f.Runtime) || differ(in.found.Instance, f.Instance)
}

// foundOtherwise returns the instance whose process another source has found before; nil: there is none. A container is found as a process
// first if the container daemon is slow.
func (m *Manager) foundOtherwise(f discovery.Found, there map[string]bool) *Instance {
	for key, in := range m.byKey {
		if !in.declared && !there[key] && processOf(in.found).Identical(processOf(f)) && in.found.Source != f.Source {
			return in
		}
	}
	return nil
}

func processOf(f discovery.Found) process.ID { return process.ID{PID: f.PID, Started: f.Started} }

// inherit stops before, if it is not nil, sets the name of the engine that replaces it, and returns the new engine's history: that of before
// if the name or the process is the same, else the stored one of the name. A new process under the same name counts as a restart.
// fault is what is wrong with the name that the operator gave; empty: nothing.
func (m *Manager) inherit(before *Instance, f discovery.Found, d *engine.Declaration) (history engine.History, fault string) {
	if before == nil {
		d.Instance, fault = m.name(f, nil)
		return m.store.engine(d.Instance).History, fault
	}
	before.stop()
	name := before.engine.Status().Name
	d.Instance, fault = name, before.nameFault
	if before.key != f.Key || before.replacedBy(f) {
		d.Instance, fault = m.name(f, before)
	}
	sameProcess := process.ID{PID: before.pid}.Compare(process.ID{PID: f.PID}) == process.Same
	if d.Instance != name && !sameProcess {
		return m.store.engine(d.Instance).History, fault
	}
	history = before.engine.History()
	if !sameProcess {
		history.RestartCount++
		history.LastRestartAt = cmp.Or(f.Started, time.Now())
	}
	return history, fault
}
