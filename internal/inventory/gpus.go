package inventory

import (
	"slices"

	"github.com/stackscope/stackscope/internal/fleet"
)

// setGPUs takes what a report says of a worker's GPUs; nil: it says nothing, and what is known stays. i.mu is held.
func (i *Inventory) setGPUs(w *worker, gpus []fleet.ReportedGPU) {
	if gpus == nil || slices.Equal(gpus, w.gpus) {
		return
	}
	w.gpus, w.gpuIDs = gpus, fleet.GPUIDs(w.ID, gpus)
	i.unsaved.gpus[w.ID] = struct{}{}
	i.advanceClock(w)
	i.markChanged(staleAll)
}

// forgetGPUs forgets the GPUs of a worker that registers with another version or as another machine, because an older version says nothing of
// its GPUs. i.mu is held.
func (i *Inventory) forgetGPUs(w *worker) {
	if w.gpus == nil {
		return
	}
	gpus, ids := w.gpus, w.gpuIDs
	i.onUndo(func() { w.gpus, w.gpuIDs = gpus, ids })
	w.gpus, w.gpuIDs = nil, nil
	i.unsaved.gpus[w.ID] = struct{}{}
	i.markChanged(staleAll)
}

// viewGPUs lists the GPUs of all workers. What a silent worker said last is not known to hold.
func (i *Inventory) viewGPUs(v *view) {
	n := 0
	for _, w := range i.workerList {
		n += len(w.gpus)
	}
	v.snapshot.GPUs = make([]fleet.GPU, 0, n)
	for _, w := range i.workerList {
		silent := ""
		if len(w.gpus) > 0 && w.State != fleet.WorkerReady {
			silent = i.notReadyReason(w)
		}
		for k := range w.gpus {
			g := fleet.GPU{ReportedGPU: w.gpus[k], ID: w.gpuIDs[k], WorkerID: w.ID, WorkerName: w.Name, ClusterID: w.ClusterID}
			if w.State != fleet.WorkerReady {
				g.State, g.StateMessage = fleet.GPUUnreachable, silent
			}
			for _, name := range g.InstanceNames() {
				if in, ok := w.instances[name]; ok {
					g.Holders = append(g.Holders, fleet.GPUHolder{ID: in.ID, Name: name})
				}
			}
			v.snapshot.GPUs = append(v.snapshot.GPUs, g)
		}
	}
}
