package inventory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// unsaved holds the ids of rows that differ from the stored ones; those that are no more in the inventory are to be
// removed. What could not be stored stays here, so that trying again needs nothing else.
type unsaved struct {
	clusters, workers, models, instances map[int64]struct{}
}

func newUnsaved() unsaved {
	return unsaved{
		clusters:  make(map[int64]struct{}),
		workers:   make(map[int64]struct{}),
		models:    make(map[int64]struct{}),
		instances: make(map[int64]struct{}),
	}
}

func (u *unsaved) empty() bool {
	return len(u.clusters)+len(u.workers)+len(u.models)+len(u.instances) == 0
}

func (u *unsaved) add(other unsaved) {
	maps.Copy(u.clusters, other.clusters)
	maps.Copy(u.workers, other.workers)
	maps.Copy(u.models, other.models)
	maps.Copy(u.instances, other.instances)
}

// save stores what is unsaved, and the heartbeats too if asked. A failure costs nothing but durability: memory holds the
// truth and the next save tries again. The caller holds i.writing.
func (i *Inventory) save(ctx context.Context, heartbeats bool) {
	i.mu.Lock()
	changes, taken := i.takeUnsaved()
	if heartbeats {
		i.addHeartbeats(changes)
	}
	i.mu.Unlock()
	if changes.Empty() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	err := i.opts.Store.Apply(ctx, changes)

	i.mu.Lock()
	before := i.saveErr
	i.saveErr = err
	if err != nil {
		i.unsaved.add(taken)
	} else {
		i.markSaved(changes.Heartbeats)
	}
	i.mu.Unlock()
	switch {
	case err != nil && before == nil:
		i.log.ErrorContext(ctx, "the inventory cannot be stored; it goes on in memory and is stored when that works again", "error", err)
	case err == nil && before != nil:
		i.log.InfoContext(ctx, "the inventory is stored again")
	}
}

// takeUnsaved returns the unsaved rows and forgets that they are unsaved. i.mu is held.
func (i *Inventory) takeUnsaved() (*fleet.Changes, unsaved) {
	taken := i.unsaved
	if taken.empty() {
		return &fleet.Changes{}, taken
	}
	i.unsaved = newUnsaved()
	c := &fleet.Changes{}
	for _, id := range ids(taken.clusters) {
		c.Put.Clusters = append(c.Put.Clusters, i.clusters[id].Cluster)
	}
	for _, id := range ids(taken.workers) {
		w, ok := i.workers[id]
		if !ok {
			c.RemovedWorkers = append(c.RemovedWorkers, id)
			continue
		}
		c.Put.Workers = append(c.Put.Workers, w.WorkerRecord)
		if h, ok := i.heartbeat(w); ok {
			c.Heartbeats = append(c.Heartbeats, h)
		}
	}
	for _, id := range ids(taken.models) {
		if m, ok := i.models[id]; ok {
			c.Put.Models = append(c.Put.Models, m.ModelRecord)
		} else {
			c.RemovedModels = append(c.RemovedModels, id)
		}
	}
	for _, id := range ids(taken.instances) {
		if in, ok := i.instance(id); ok {
			c.Put.Instances = append(c.Put.Instances, in.InstanceRecord)
		} else {
			c.RemovedInstances = append(c.RemovedInstances, id)
		}
	}
	return c, taken
}

func ids(set map[int64]struct{}) []int64 { return slices.Sorted(maps.Keys(set)) }

// instance finds an instance that is there.
func (i *Inventory) instance(id int64) (*instance, bool) {
	n, ok := slices.BinarySearchFunc(i.instanceList, id, func(in *instance, id int64) int { return cmp.Compare(in.ID, id) })
	if !ok || i.instanceList[n].gone {
		return nil, false
	}
	return i.instanceList[n], true
}

// heartbeat returns the worker's last heartbeat if it is not stored yet.
func (i *Inventory) heartbeat(w *worker) (fleet.Heartbeat, bool) {
	seen := w.lastSeen.Load()
	if seen == never || seen == w.savedSeen && w.AppliedGeneration == w.savedApplied {
		return fleet.Heartbeat{}, false
	}
	return fleet.Heartbeat{WorkerID: w.ID, At: i.wall(seen), AppliedGeneration: w.AppliedGeneration}, true
}

func (i *Inventory) addHeartbeats(c *fleet.Changes) {
	c.Heartbeats = c.Heartbeats[:0]
	for _, w := range i.workerList {
		if h, ok := i.heartbeat(w); ok {
			c.Heartbeats = append(c.Heartbeats, h)
		}
	}
}

func (i *Inventory) markSaved(beats []fleet.Heartbeat) {
	for _, h := range beats {
		if w, ok := i.workers[h.WorkerID]; ok {
			w.savedSeen, w.savedApplied = int64(h.At.Sub(i.epoch)), h.AppliedGeneration
		}
	}
}

// wall turns a lastSeen into a time of day. The monotonic reading is kept, for Sub.
func (i *Inventory) wall(seen int64) time.Time { return i.epoch.Add(time.Duration(seen)) }
