package inventory

import (
	"cmp"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// staleness says how much of the view is out of date.
type staleness int32

const (
	fresh           staleness = iota
	staleHeartbeats           // only when workers last reported, which the metrics page does not take from the view
	staleWorkers              // the workers' applied generations too
	staleAll
)

// view is what readers share: a snapshot, and beside each of its entries what the metrics page needs to write it. It is
// immutable but for the heartbeats behind workerLine.live.
type view struct {
	snapshot  fleet.Snapshot
	clusters  []clusterLine
	workers   []workerLine
	models    []modelLine
	instances []instanceLine
	// routed is the model of the instances to which each router passes requests, by the router's id.
	routed map[int64]string
}

type clusterLine struct{ labels, provider, state exposition.Labels }

type workerLine struct {
	labels, info, state, version exposition.Labels
	worker                       *worker
}

type modelLine struct {
	labels, info     exposition.Labels
	desired, running int
	roles            fleet.RoleCounts
	pdMode           exposition.Labels // empty: prefill and decode are not separate instances
}

type instanceLine struct{ labels, engine, state exposition.Labels }

// current returns a view that is at most as stale as accepted. Changes only mark the view as out of date, so that many of
// them cost one rebuilding.
func (i *Inventory) current(accepted staleness) *view {
	if staleness(i.stale.Load()) <= accepted {
		return i.view.Load()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if staleness(i.stale.Load()) > accepted {
		i.rebuild()
	}
	return i.view.Load()
}

func (i *Inventory) rebuild() {
	i.sweep()
	v := &view{}
	v.snapshot.At = time.Now()
	states := make(map[string]exposition.Labels)
	i.viewWorkers(v, states)
	if old := i.view.Load(); old != nil && staleness(i.stale.Load()) < staleAll {
		v.snapshot.Clusters, v.clusters = old.snapshot.Clusters, old.clusters
		v.snapshot.Models, v.models = old.snapshot.Models, old.models
		v.snapshot.Instances, v.instances = old.snapshot.Instances, old.instances
		v.snapshot.GPUs = old.snapshot.GPUs
		v.routed = old.routed
	} else {
		i.viewClusters(v, states)
		running, roles := i.viewInstances(v, states)
		i.viewModels(v, states, running, roles)
		i.viewGPUs(v)
	}
	i.view.Store(v)
	i.stale.Store(int32(fresh))
}

// cachedStateLabel returns the label of a state. There are few states and many that are in one.
func cachedStateLabel[S ~string](states map[string]exposition.Labels, s S) exposition.Labels {
	l, ok := states[string(s)]
	if !ok {
		l = stateLabel(string(s))
		states[string(s)] = l
	}
	return l
}

// engineLabels returns the labels of an instance's engine. There are few engines and many instances.
func engineLabels(known map[string]exposition.Labels, r *fleet.ReportedInstance) exposition.Labels {
	key := r.Runtime + "\x00" + r.RuntimeVersion
	l, ok := known[key]
	if !ok {
		l = exposition.RenderLabels(catalog.LabelRuntime, orUnknown(r.Runtime), "runtime_version", orUnknown(r.RuntimeVersion))
		known[key] = l
	}
	return l
}

// pdMode returns the mode that a model's prefill and decode instances with a known connector tell; PDCustom if none does or they differ.
func pdMode(m *model) fleet.PDMode {
	var mode fleet.PDMode
	for _, in := range m.instances {
		rep := &in.Reported
		if rep.Connector == "" || !rep.Role.Computes() {
			continue
		}
		told := fleet.PDModeOf(rep.Runtime, rep.Connector)
		if mode != "" && told != mode {
			return fleet.PDCustom
		}
		mode = told
	}
	return cmp.Or(mode, fleet.PDCustom)
}

// pdModeLabels returns the labels of a mode. There are few modes.
func pdModeLabels(known map[string]exposition.Labels, mode fleet.PDMode) exposition.Labels {
	key := "\x00pd\x00" + string(mode) // no key of engineLabels has two zero bytes
	l, ok := known[key]
	if !ok {
		l = exposition.RenderLabels("mode", string(mode), "kv_counted_role", string(fleet.KVCountedRole))
		known[key] = l
	}
	return l
}

func (i *Inventory) viewClusters(v *view, states map[string]exposition.Labels) {
	v.snapshot.Clusters = make([]fleet.Cluster, len(i.clusterList))
	v.clusters = make([]clusterLine, len(i.clusterList))
	for k, c := range i.clusterList {
		v.snapshot.Clusters[k] = c.Cluster
		v.clusters[k] = clusterLine{labels: c.labels, provider: exposition.RenderLabels("provider", c.Provider), state: cachedStateLabel(states, c.State)}
	}
}

func (i *Inventory) viewWorkers(v *view, states map[string]exposition.Labels) {
	v.snapshot.Workers = make([]fleet.Worker, len(i.workerList))
	v.workers = make([]workerLine, len(i.workerList))
	versions := versionViews{server: i.opts.Version, known: make(map[string]versionView)}
	for k, w := range i.workerList {
		out := &v.snapshot.Workers[k]
		*out = w.Worker
		out.LastReportAt = time.Time{}
		if seen := w.lastSeen.Load(); seen != never {
			out.LastReportAt = i.wallTime(seen).Round(0).UTC()
		}
		out.StateMessage = i.notReadyReason(w)
		version := versions.of(w.Version)
		out.VersionSkew = string(version.skew)
		v.workers[k] = workerLine{labels: w.labels, info: w.info, state: cachedStateLabel(states, w.State), version: version.labels, worker: w}
	}
}

// viewInstances returns how many instances of each model run, and how many of them have a role, by the model's id.
func (i *Inventory) viewInstances(v *view, states map[string]exposition.Labels) (running map[int64]int, roles map[int64]*fleet.RoleCounts) {
	running, roles = make(map[int64]int, len(i.modelList)), make(map[int64]*fleet.RoleCounts)
	groups, routed := i.groups()
	v.routed = routed
	v.snapshot.Instances = make([]fleet.Instance, len(i.instanceList))
	v.instances = make([]instanceLine, len(i.instanceList))
	for k, in := range i.instanceList {
		rep, state := &in.Reported, in.state()
		if state == fleet.InstanceRunning {
			running[in.ModelID]++
		}
		countRole(roles, in, state)
		v.snapshot.Instances[k] = fleet.Instance{
			ID: in.ID, ModelID: in.ModelID, WorkerID: in.WorkerID, Name: rep.Name, State: state,
			StateMessage: cmp.Or(i.notReadyReason(in.worker), rep.StateMessage),
			URL:          rep.URL, Runtime: rep.Runtime, RuntimeVersion: rep.RuntimeVersion, Role: rep.Role, Group: groups[in.ID], RestartCount: rep.RestartCount, LastRestartAt: rep.LastRestartAt, Since: in.since(),
		}
		if in.labels == "" {
			in.labels = instanceLabels(in)
		}
		v.instances[k] = instanceLine{labels: in.labels, engine: engineLabels(states, rep), state: cachedStateLabel(states, state)}
	}
	return running, roles
}

func countRole(roles map[int64]*fleet.RoleCounts, in *instance, state fleet.InstanceState) {
	if in.Reported.Role == "" || in.ModelID == 0 {
		return
	}
	counts := roles[in.ModelID]
	if counts == nil {
		counts = &fleet.RoleCounts{}
		roles[in.ModelID] = counts
	}
	if n := counts.Of(in.Reported.Role); n != nil {
		n.Desired++
		if state == fleet.InstanceRunning {
			n.Ready++
		}
	}
}

func (i *Inventory) viewModels(v *view, states map[string]exposition.Labels, running map[int64]int, roles map[int64]*fleet.RoleCounts) {
	v.snapshot.Models = make([]fleet.Model, len(i.modelList))
	v.models = make([]modelLine, len(i.modelList))
	for k, m := range i.modelList {
		out := &v.snapshot.Models[k]
		*out = m.Model
		// No scheduler owns these models: what is declared is what is wanted.
		out.DesiredInstances = len(m.instances)
		if counts := roles[m.ID]; counts != nil {
			out.Roles = *counts
		}
		line := modelLine{labels: m.labels, info: m.info, desired: len(m.instances), running: running[m.ID], roles: out.Roles}
		if out.Disaggregated() {
			line.pdMode = pdModeLabels(states, pdMode(m))
		}
		v.models[k] = line
	}
}
