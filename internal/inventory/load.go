package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// maxFaultsLogged bounds the log lines about damaged rows.
const maxFaultsLogged = 20

// load fills the empty inventory. A row that is damaged, or that refers to one that is not there, costs no other one: it is
// left out, and removed when the inventory is next stored, because a new one could not have its name beside it.
func (i *Inventory) load(r fleet.Records) {
	faults := faults{i: i}
	for _, f := range r.Faults {
		faults.add(f)
	}
	for _, c := range r.Clusters {
		i.insertCluster(&cluster{Cluster: c})
	}
	for _, rec := range r.Workers {
		w := &worker{WorkerRecord: rec, cluster: i.clusterOf(rec.ClusterID, &faults), instances: make(map[string]*instance)}
		w.lastSeen.Store(never)
		w.joined = never
		if rec.State == fleet.WorkerReady {
			w.joined = 0 // it has as long to report again as one that joins now
		}
		if !rec.LastReportAt.IsZero() {
			w.lastSeen.Store(int64(min(rec.LastReportAt.Sub(i.epoch), 0)))
		}
		w.savedSeen, w.savedApplied = w.lastSeen.Load(), w.AppliedGeneration
		i.insertWorker(w)
	}
	for _, rec := range r.Models {
		i.insertModel(&model{ModelRecord: rec, cluster: i.clusterOf(rec.ClusterID, &faults), instances: make(map[int64]*instance)})
	}
	for _, rec := range r.Instances {
		w, m := i.workers[rec.WorkerID], i.models[rec.ModelID]
		if w == nil || m == nil && rec.ModelID != 0 {
			faults.add(fleet.RowFault{
				Kind: fleet.RowInstance, ID: rec.ID, LeftOut: true,
				Detail: fmt.Sprintf("is of worker %d and model %d, which are not both there", rec.WorkerID, rec.ModelID),
			})
			continue
		}
		i.insertInstance(&instance{InstanceRecord: rec, worker: w, model: m})
	}
	for _, rec := range r.GPUs {
		if w := i.workers[rec.WorkerID]; w != nil {
			w.gpus, w.gpuIDs = rec.GPUs, fleet.GPUIDs(w.ID, rec.GPUs)
		}
	}
	for k := range r.Revoked {
		i.revoked.insert(&r.Revoked[k])
	}
	slices.SortFunc(i.clusterList, func(a, b *cluster) int { return cmp.Compare(a.ID, b.ID) })
	if faults.omitted > 0 {
		for _, m := range i.modelList {
			if len(m.instances) == 0 && m.EmptySince.IsZero() { // they are to be reported again
				m.EmptySince = time.Now()
				i.unsaved.models[m.ID] = struct{}{}
			}
		}
	}
	faults.end()
}

// clusterOf returns a cluster. One that is not there is made anew, so that its members keep their ids.
func (i *Inventory) clusterOf(id int64, f *faults) *cluster {
	if c, ok := i.clusters[id]; ok {
		return c
	}
	name := fleet.DefaultClusterName
	for n := 0; i.clusterNamed[name] != nil; n++ {
		name = fmt.Sprintf("recovered-%d", id)
		if n > 0 {
			name = fmt.Sprintf("recovered-%d-%d", id, n)
		}
	}
	f.add(fleet.RowFault{Kind: fleet.RowCluster, ID: id, Detail: fmt.Sprintf("is not there, and others are of it; it is made anew under the name %q", name)})
	return i.addCluster(id, name)
}

// faults tells of damaged rows and takes out of the store those that are left out.
type faults struct {
	i          *Inventory
	n, omitted int
}

func (f *faults) add(fault fleet.RowFault) {
	if f.n++; f.n <= maxFaultsLogged {
		f.i.log.Error("a stored row of the inventory is damaged", "row", fault.Kind, "id", fault.ID, "error", fault.Detail, "left_out", fault.LeftOut)
	}
	if !fault.LeftOut {
		return
	}
	f.omitted++
	switch u := &f.i.unsaved; fault.Kind {
	case fleet.RowCluster: // its members would have none; it is replaced
	case fleet.RowRevoked, fleet.RowGPUs: // it may be mended, or is reported again
	case fleet.RowWorker:
		u.workers[fault.ID] = struct{}{}
	case fleet.RowModel:
		u.models[fault.ID] = struct{}{}
	case fleet.RowInstance:
		u.instances[fault.ID] = struct{}{}
	}
}

func (f *faults) end() {
	if f.n > 0 {
		f.i.log.Error("the stored inventory has damaged rows; the others are as they were. Workers and instances that are left out come back under new ids when they report: put a backup of the data directory in its place to keep the ids",
			"rows", f.n, "left_out", f.omitted)
	}
}
