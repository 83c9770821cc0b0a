package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// Report takes what a worker says about itself and returns the ids of its instances, in the order of the report. The
// worker is ready from then on. Instances that the report doesn't name are gone, and so are
// GPUs if it says which there are; a model is made when its first instance
// is reported. An instance without a model is a gateway, or an engine whose model is not known. After a report that says that the worker stops it isn't ready, and
// others are refused until it registers again: they are older.
//
// The error is fleet.ErrNoWorker, fleet.ErrInvalid or fleet.ErrNotStored. A report that is invalid changes nothing. One that
// could not be stored is shown all the same, but for instances that would need a new id, and the worker must say it again.
func (i *Inventory) Report(ctx context.Context, workerID int64, r fleet.Report) ([]fleet.ReportedIDs, error) {
	r, err := fleet.CheckReport(r)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	w, ok := i.workers[workerID]
	if !ok {
		i.mu.Unlock()
		return nil, noWorker(workerID)
	}
	if !w.LeftAt.IsZero() && !r.Stopping {
		i.mu.Unlock()
		return nil, fmt.Errorf("%w: worker %d said that it stops; it must register again", fleet.ErrNoWorker, workerID)
	}
	known, same := i.reportedIDs(w, r.Instances)
	if !same {
		if _, err := i.countNew(w, r.Instances); err != nil {
			i.mu.Unlock()
			return nil, err
		}
	}
	if r.Stopping {
		i.recordStop(w, r.AppliedGeneration)
	} else {
		i.recordHeartbeat(w, r.AppliedGeneration)
	}
	i.setGPUs(w, r.GPUs)
	clock, stored := w.changed, w.changed <= i.saved.storedClock
	i.mu.Unlock()
	if same && stored {
		return known, nil // a heartbeat: nothing to store
	}
	if !same {
		if known, clock, err = i.applyReport(ctx, w, r.Instances); err != nil {
			return nil, err
		}
	}
	if err := i.waitStored(ctx, clock); err != nil {
		return nil, err
	}
	return known, nil
}

// applyReport takes a report that says something new and returns the time of the change.
func (i *Inventory) applyReport(ctx context.Context, w *worker, reported []fleet.ReportedInstance) (known []fleet.ReportedIDs, clock int64, err error) {
	release, err := i.lockRows(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer release()
	i.mu.Lock()
	if i.workers[w.ID] != w {
		i.mu.Unlock()
		return nil, 0, noWorker(w.ID)
	}
	want, err := i.countNew(w, reported)
	i.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	first, err := i.newIDs(ctx, want)

	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		i.replaceInstances(w, i.withoutNewInstances(w, reported), fleet.IDs{})
	} else {
		i.replaceInstances(w, reported, first)
	}
	i.advanceClock(w)
	known, _ = i.reportedIDs(w, reported)
	return known, w.changed, err
}

// withoutNewInstances returns what a report says about instances and models that have an id. An instance that got a model which has
// none keeps the one before.
func (i *Inventory) withoutNewInstances(w *worker, reported []fleet.ReportedInstance) []fleet.ReportedInstance {
	var out []fleet.ReportedInstance
	for _, rep := range reported {
		in, ok := w.instances[rep.Name]
		if !ok {
			continue
		}
		if _, ok := i.modelNamed[modelKey{w.ClusterID, rep.Model}]; !ok && rep.Model != "" {
			rep.Model = in.Reported.Model
		}
		out = append(out, rep)
	}
	return out
}

// recordHeartbeat notes a sign of life, by which a worker becomes ready.
func (i *Inventory) recordHeartbeat(w *worker, applied int64) {
	w.lastSeen.Store(int64(time.Since(i.epoch)))
	i.markStale(staleHeartbeats)
	if w.AppliedGeneration != applied {
		w.AppliedGeneration = applied
		i.markChanged(staleWorkers)
	}
	if w.State == fleet.WorkerReady {
		return
	}
	i.setState(w, fleet.WorkerReady)
	i.unsaved.workers[w.ID] = struct{}{}
	i.advanceClock(w)
	i.markChanged(staleAll)
	i.log.Info("worker is ready", "worker", w.Name, "worker_id", w.ID, "cluster", w.cluster.Name)
}

// stateBegins returns the present time in the form in which it is stored.
func (i *Inventory) stateBegins() time.Time { return time.UnixMilli(i.now().UnixMilli()).UTC() }

// setState brings a worker into a state, which begins now if it is a new one.
func (i *Inventory) setState(w *worker, s fleet.WorkerState) {
	if w.State != s {
		w.State, w.Since = s, i.stateBegins()
	}
}

// maxAhead is by how much a worker's clock may be ahead of the server's before its times count as none.
const maxAhead = time.Minute

// withSince returns what a report says of an instance with the time at which its state began. If the worker does not say it, as one of an older
// version does not, or says a time to come, it is when the state was first reported.
func (i *Inventory) withSince(in *instance, rep fleet.ReportedInstance) fleet.ReportedInstance {
	switch {
	case !rep.Since.IsZero() && rep.Since.Before(i.now().Add(maxAhead)):
	case in != nil && in.Reported.State == rep.State:
		rep.Since = in.Reported.Since
	default:
		rep.Since = i.stateBegins()
	}
	return rep
}

// reportedIDs returns the ids of what was reported. same is false when the report says something new.
func (i *Inventory) reportedIDs(w *worker, reported []fleet.ReportedInstance) (out []fleet.ReportedIDs, same bool) {
	same = len(reported) == len(w.instances)
	out = make([]fleet.ReportedIDs, 0, len(reported))
	for k := range reported {
		in, ok := w.instances[reported[k].Name]
		if !ok || in.Reported != i.withSince(in, reported[k]) {
			same = false
		}
		if ok {
			out = append(out, fleet.ReportedIDs{Name: in.Reported.Name, InstanceID: in.ID, ModelID: in.ModelID, Model: i.view.Load().routed[in.ID]})
		}
	}
	return out, same
}

// countNew counts the models and instances that the report is the first to name.
func (i *Inventory) countNew(w *worker, reported []fleet.ReportedInstance) (want fleet.IDs, err error) {
	names := make(map[string]struct{})
	for k := range reported {
		if _, ok := w.instances[reported[k].Name]; !ok {
			want.Instances++
		}
		if _, ok := i.modelNamed[modelKey{w.ClusterID, reported[k].Model}]; !ok && reported[k].Model != "" {
			names[reported[k].Model] = struct{}{}
		}
	}
	want.Models = int64(len(names))
	if have := len(i.models); want.Models > 0 && have+len(names) > i.opts.MaxModels {
		return want, fleet.Invalid("report", "it names %d new models, and there are %d already; the limit is %d", len(names), have, i.opts.MaxModels)
	}
	return want, nil
}

// replaceInstances makes the worker's instances what was reported. next holds the ids for what is new.
func (i *Inventory) replaceInstances(w *worker, reported []fleet.ReportedInstance, next fleet.IDs) {
	named := make(map[string]struct{}, len(reported))
	for k := range reported {
		in, ok := w.instances[reported[k].Name]
		said := i.withSince(in, reported[k])
		rep := &said
		named[rep.Name] = struct{}{}
		m, hasModel := i.modelNamed[modelKey{w.ClusterID, rep.Model}]
		if !hasModel && rep.Model != "" {
			m = i.addModel(next.Models, w.cluster, rep.Model)
			next.Models++
		}
		switch {
		case !ok:
			i.addInstance(next.Instances, w, m, *rep)
			next.Instances++
			i.updateModel(m, rep)
		case in.Reported != *rep:
			i.updateInstance(in, m, rep)
		}
	}
	for name, in := range w.instances {
		if _, ok := named[name]; !ok {
			i.removeInstance(in)
		}
	}
}

// updateInstance notes what is new about an instance, which may have got another model.
func (i *Inventory) updateInstance(in *instance, m *model, rep *fleet.ReportedInstance) {
	described := in.Reported.Runtime != rep.Runtime || in.Reported.RuntimeVersion != rep.RuntimeVersion ||
		in.Reported.Source != rep.Source || in.Reported.SourceKey != rep.SourceKey || in.Reported.Category != rep.Category
	in.Reported = *rep
	if old := in.model; old != m {
		in.detach()
		in.attach(m)
		i.instanceRemoved(old)
		i.instanceAdded(m)
		described = true
	}
	if described {
		i.updateModel(m, rep)
		if m != nil {
			i.refreshModel(m)
		}
	}
	i.unsaved.instances[in.ID] = struct{}{}
	i.markChanged(staleAll)
}

// updateModel makes the model what its instance newly says. What the instance doesn't say stays. Only what changes speaks: in
// a rolling update the instances disagree, and taking each report at its word would make the model change with each. A
// gateway has no model that could change.
func (i *Inventory) updateModel(m *model, rep *fleet.ReportedInstance) {
	if m == nil {
		return
	}
	if rep.Role == fleet.RoleRouter && m.Runtime != "" {
		return // it may be another runtime's router
	}
	before := m.Model
	switch {
	case rep.Runtime == "":
	case rep.Runtime != m.Runtime:
		m.Runtime, m.RuntimeVersion = rep.Runtime, rep.RuntimeVersion
	case rep.RuntimeVersion != "":
		m.RuntimeVersion = rep.RuntimeVersion
	}
	if rep.Source != "" || rep.SourceKey != "" {
		m.Source, m.SourceKey = rep.Source, rep.SourceKey
	}
	if rep.Category != "" {
		m.Category = rep.Category
	}
	if m.Model != before {
		m.labels, m.info = modelLabels(m)
		i.unsaved.models[m.ID] = struct{}{}
		i.markChanged(staleAll)
	}
}

// refreshModel sees to it that one of the model's instances has the runtime that the model has, if any says its runtime; the
// newest does otherwise.
func (i *Inventory) refreshModel(m *model) {
	var newest *instance
	for _, in := range m.instances {
		if in.Reported.Runtime == "" || in.Reported.Role == fleet.RoleRouter && len(m.instances) > 1 {
			continue
		}
		if in.Reported.Runtime == m.Runtime && (in.Reported.RuntimeVersion == m.RuntimeVersion || in.Reported.RuntimeVersion == "") {
			return
		}
		if newest == nil || in.ID > newest.ID {
			newest = in
		}
	}
	if newest != nil {
		i.updateModel(m, &newest.Reported)
	}
}
