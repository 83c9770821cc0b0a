package inventory

import (
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// WriteMetrics appends the inventory's families of catalog.Server to the page: all but those of the event bus and of the
// mapping's generation. A family without samples is left out.
func (i *Inventory) WriteMetrics(w *exposition.Writer) {
	v := i.current(staleHeartbeats)
	writeClusters(w, v)
	i.writeWorkers(w, v)
	writeModels(w, v)
	writeRoles(w, v)
	writeInstances(w, v)
}

// WriteStoring appends the families of catalog.ServerOwn that say whether the inventory is stored.
func (i *Inventory) WriteStoring(w *exposition.Writer) {
	i.mu.Lock()
	stored, unsaved, failures := 1.0, i.unsaved.count()+i.saved.inProgress, i.saved.failures
	if i.saved.err != nil {
		stored = 0
	}
	i.mu.Unlock()
	single(w, &catalog.InventoryStored, stored)
	single(w, &catalog.InventoryUnsaved, float64(unsaved))
	single(w, &catalog.InventoryStoreFailures, float64(failures))
}

func single(w *exposition.Writer, m *catalog.Metric, v float64) {
	w.Family(m.WireName(), string(m.Type), m.Help)
	w.Sample(m.WireName(), v)
}

// familyWriter writes a family's head before its first sample.
type familyWriter struct {
	w     *exposition.Writer
	m     *catalog.Metric
	begun bool
}

func (f *familyWriter) sample(v float64, labels, more exposition.Labels) {
	if !f.begun {
		f.w.Family(f.m.WireName(), string(f.m.Type), f.m.Help)
		f.begun = true
	}
	f.w.Sample(f.m.Name, v, labels, more)
}

func writeClusters(w *exposition.Writer, v *view) {
	info, status := familyWriter{w: w, m: &catalog.Cluster}, familyWriter{w: w, m: &catalog.ClusterStatus}
	for k := range v.clusters {
		info.sample(1, v.clusters[k].labels, v.clusters[k].provider)
	}
	for k := range v.clusters {
		status.sample(1, v.clusters[k].labels, v.clusters[k].state)
	}
}

func (i *Inventory) writeWorkers(w *exposition.Writer, v *view) {
	info, status := familyWriter{w: w, m: &catalog.WorkerInfo}, familyWriter{w: w, m: &catalog.WorkerStatus}
	age, applied := familyWriter{w: w, m: &catalog.WorkerHeartbeatAge}, familyWriter{w: w, m: &catalog.WorkerAppliedGeneration}
	for k := range v.workers {
		info.sample(1, v.workers[k].info, "")
	}
	for k := range v.workers {
		status.sample(1, v.workers[k].labels, v.workers[k].state)
	}
	now := time.Since(i.epoch)
	for k := range v.workers {
		if seen := v.workers[k].worker.lastSeen.Load(); seen != never {
			age.sample(max(now-time.Duration(seen), 0).Round(time.Millisecond).Seconds(), v.workers[k].labels, "")
		}
	}
	for k := range v.workers {
		if !v.snapshot.Workers[k].LastReportAt.IsZero() {
			applied.sample(float64(v.snapshot.Workers[k].AppliedGeneration), v.workers[k].labels, "")
		}
	}
}

func writeModels(w *exposition.Writer, v *view) {
	info := familyWriter{w: w, m: &catalog.Model}
	desired, running := familyWriter{w: w, m: &catalog.ModelDesiredInstances}, familyWriter{w: w, m: &catalog.ModelRunningInstances}
	for k := range v.models {
		info.sample(1, v.models[k].info, "")
	}
	for k := range v.models {
		desired.sample(float64(v.models[k].desired), v.models[k].labels, "")
	}
	for k := range v.models {
		running.sample(float64(v.models[k].running), v.models[k].labels, "")
	}
}

// roleLabels are the labels of the roles, in the order in which they are exported.
var roleLabels = func() (all []roleLabel) {
	for _, r := range fleet.Roles() {
		all = append(all, roleLabel{r, exposition.RenderLabels(catalog.LabelRole, string(r))})
	}
	return all
}()

type roleLabel struct {
	role   fleet.Role
	labels exposition.Labels
}

// writeRoles writes what GPUStack exports of models whose instances have roles.
func writeRoles(w *exposition.Writer, v *view) {
	desired, ready := familyWriter{w: w, m: &catalog.ModelRoleDesiredInstances}, familyWriter{w: w, m: &catalog.ModelRoleReadyInstances}
	for _, f := range []struct {
		family *familyWriter
		value  func(*fleet.RoleCount) int
	}{
		{&desired, func(n *fleet.RoleCount) int { return n.Desired }},
		{&ready, func(n *fleet.RoleCount) int { return n.Ready }},
	} {
		for k := range v.models {
			for _, r := range roleLabels {
				if n := v.models[k].roles.Of(r.role); n.Desired > 0 {
					f.family.sample(float64(f.value(n)), v.models[k].labels, r.labels)
				}
			}
		}
	}
	mode := familyWriter{w: w, m: &catalog.PDModeInfo}
	for k := range v.models {
		if v.models[k].pdMode != "" {
			mode.sample(1, v.models[k].labels, v.models[k].pdMode)
		}
	}
}

func writeInstances(w *exposition.Writer, v *view) {
	info, status := familyWriter{w: w, m: &catalog.ModelInstanceInfo}, familyWriter{w: w, m: &catalog.ModelInstanceStatus}
	restarts, latest := familyWriter{w: w, m: &catalog.ModelInstanceRestartCount}, familyWriter{w: w, m: &catalog.ModelInstanceLatestRestartTime}
	for k := range v.instances {
		info.sample(1, v.instances[k].labels, v.instances[k].engine)
	}
	for k := range v.instances {
		status.sample(1, v.instances[k].labels, v.instances[k].state)
	}
	for k := range v.instances {
		restarts.sample(float64(v.snapshot.Instances[k].RestartCount), v.instances[k].labels, "")
	}
	for k := range v.instances {
		at := 0.0
		if t := v.snapshot.Instances[k].LastRestartAt; !t.IsZero() {
			at = float64(t.UnixMilli()) / 1000
		}
		latest.sample(at, v.instances[k].labels, "")
	}
}
