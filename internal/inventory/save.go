package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// unsaved holds the ids of rows that may differ from the stored ones; those that are no more in the inventory are to be
// removed. What could not be stored stays here, so that trying again needs nothing else.
type unsaved struct {
	clusters, workers, models, instances, revoked map[int64]struct{}
	gpus                                          map[int64]struct{} // by worker
}

func newUnsaved() unsaved {
	return unsaved{
		clusters:  make(map[int64]struct{}),
		workers:   make(map[int64]struct{}),
		models:    make(map[int64]struct{}),
		instances: make(map[int64]struct{}),
		revoked:   make(map[int64]struct{}),
		gpus:      make(map[int64]struct{}),
	}
}

func (u *unsaved) count() int {
	return len(u.clusters) + len(u.workers) + len(u.models) + len(u.instances) + len(u.revoked) + len(u.gpus)
}

func (u *unsaved) add(other unsaved) {
	maps.Copy(u.clusters, other.clusters)
	maps.Copy(u.workers, other.workers)
	maps.Copy(u.models, other.models)
	maps.Copy(u.instances, other.instances)
	maps.Copy(u.revoked, other.revoked)
	maps.Copy(u.gpus, other.gpus)
}

// saved is what is known about storing. i.mu guards it.
type saved struct {
	// clock counts the changes that somebody waits for, through is the last of them that is stored.
	clock, storedClock int64
	err                error // of the last attempt
	attempts           int64
	failures           int64
	inProgress         int           // rows that are being stored
	attemptDone        chan struct{} // closed when the attempt that is under way has ended
	// failed says which attempt was the last to fail, and up to which change it had.
	failed struct{ attempt, clock int64 }
}

// advanceClock notes a change of what the worker's reports say. They are not acknowledged before it is stored. i.mu is held.
func (i *Inventory) advanceClock(w *worker) {
	i.saved.clock++
	w.changed = i.saved.clock
}

// waitStored returns when the change of the clock's time is stored, or why it is not: it stays in memory then and is tried again.
// Changes of several that wait are stored at once.
func (i *Inventory) waitStored(ctx context.Context, clock int64) error {
	i.mu.Lock()
	firstAttempt := i.saved.attempts
	i.mu.Unlock()
	for {
		known, ended, err := i.attemptResult(clock, firstAttempt)
		if known {
			return err
		}
		if ctx.Err() != nil {
			i.wakeRun() // nobody waits for the change any more, but it is to be stored
			return context.Cause(ctx)
		}
		select {
		case <-ended:
			continue
		case <-ctx.Done():
			continue
		case <-i.storeLock:
		}
		if known, _, err = i.attemptResult(clock, firstAttempt); !known {
			err = i.save(ctx, false)
		}
		i.storeLock <- struct{}{}
		return err
	}
}

// attemptResult reports whether it is known what became of a change that has been waited for since the attempt begun: it is stored,
// or an attempt to store it has failed since, with err. ended is closed when the attempt that is under way has ended.
func (i *Inventory) attemptResult(clock, firstAttempt int64) (known bool, ended <-chan struct{}, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := &i.saved
	switch {
	case s.storedClock >= clock:
		return true, nil, nil
	case s.failed.attempt > firstAttempt && s.failed.clock >= clock:
		return true, nil, s.err
	}
	return false, s.attemptDone, nil
}

// save stores what is unsaved, and the heartbeats too if asked. A failure leaves it unsaved. After one, something is always
// written, to find out whether storing works again. The caller holds i.saving.
func (i *Inventory) save(ctx context.Context, heartbeats bool) error {
	i.mu.Lock()
	changes, taken := i.takeUnsaved()
	if heartbeats {
		i.addHeartbeats(changes)
	}
	if changes.Empty() && i.saved.err != nil {
		changes.Put.Clusters = append(changes.Put.Clusters, i.clusterNamed[fleet.DefaultClusterName].Cluster)
	}
	return i.apply(ctx, changes, taken, nil)
}

// apply stores changes and calls then, if there is one, with i.mu held when they are stored. i.mu is held when it is called,
// and not when it returns.
func (i *Inventory) apply(ctx context.Context, changes *fleet.Changes, taken unsaved, then func()) error {
	s := &i.saved
	clock := s.clock
	if changes.Empty() {
		s.storedClock = clock
		if then != nil {
			then()
		}
		i.mu.Unlock()
		return nil
	}
	s.attempts++
	attempt := s.attempts
	s.inProgress = taken.count()
	i.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	err := i.opts.Store.Apply(ctx, changes)

	i.mu.Lock()
	defer i.mu.Unlock()
	s.inProgress = 0
	close(s.attemptDone)
	s.attemptDone = make(chan struct{})
	if err != nil {
		i.unsaved.add(taken)
		s.failed.attempt, s.failed.clock = attempt, clock
		return i.recordFailure(ctx, err)
	}
	s.storedClock = clock
	if then != nil {
		then()
	}
	i.markSaved(changes.Heartbeats)
	if s.err != nil {
		s.err = nil
		i.log.InfoContext(ctx, "the inventory is stored again")
	}
	return nil
}

// recordFailure notes that storing failed and returns the error to answer with. i.mu is held.
func (i *Inventory) recordFailure(ctx context.Context, err error) error {
	s := &i.saved
	if !errors.Is(err, fleet.ErrNotStored) {
		err = fmt.Errorf("%w: %w", fleet.ErrNotStored, err)
	}
	if s.err == nil {
		i.log.ErrorContext(ctx, "the inventory cannot be stored; what workers report goes on in memory and is stored when that works again, and other changes are refused", "error", err)
		i.wakeRun()
	}
	s.failures++
	s.err = err
	return err
}

// RecordStoreFailure notes that something else could not be written to where the inventory is stored. Whether that works again is then
// found out soon.
func (i *Inventory) RecordStoreFailure(ctx context.Context, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	_ = i.recordFailure(ctx, err)
}

// wakeRun makes Run try to store what is unsaved soon.
func (i *Inventory) wakeRun() {
	select {
	case i.retry <- struct{}{}:
	default:
	}
}

// newIDs reserves ids. It goes on when the request that wants them is gone.
func (i *Inventory) newIDs(ctx context.Context, want fleet.IDs) (fleet.IDs, error) {
	if want == (fleet.IDs{}) {
		return fleet.IDs{}, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	first, err := i.opts.Store.NewIDs(ctx, want)
	if err != nil {
		i.mu.Lock()
		defer i.mu.Unlock()
		return fleet.IDs{}, i.recordFailure(ctx, err)
	}
	return first, nil
}

// takeUnsaved returns the unsaved rows and forgets that they are unsaved. i.mu is held.
func (i *Inventory) takeUnsaved() (*fleet.Changes, unsaved) {
	taken := i.unsaved
	if taken.count() == 0 {
		return &fleet.Changes{}, taken
	}
	i.unsaved = newUnsaved()
	c := &fleet.Changes{}
	for _, id := range ids(taken.clusters) {
		if k, ok := i.clusters[id]; ok { // one that was not made in the end was not stored either
			c.Put.Clusters = append(c.Put.Clusters, k.Cluster)
		}
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
	for _, id := range ids(taken.revoked) {
		if w, ok := i.revoked.byID[id]; ok {
			c.Put.Revoked = append(c.Put.Revoked, *w)
		} else {
			c.RemovedRevoked = append(c.RemovedRevoked, id)
		}
	}
	for _, id := range ids(taken.gpus) {
		if w, ok := i.workers[id]; ok { // those of a removed worker are removed with it
			c.Put.GPUs = append(c.Put.GPUs, fleet.WorkerGPUs{WorkerID: id, GPUs: w.gpus})
		}
	}
	return c, taken
}

func ids(set map[int64]struct{}) []int64 { return slices.Sorted(maps.Keys(set)) }

// instance finds an instance that is there.
func (i *Inventory) instance(id int64) (*instance, bool) {
	n, ok := slices.BinarySearchFunc(i.instanceList, id, func(in *instance, id int64) int { return cmp.Compare(in.ID, id) })
	if !ok || i.instanceList[n].removed {
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
	return fleet.Heartbeat{WorkerID: w.ID, At: i.wallTime(seen), AppliedGeneration: w.AppliedGeneration}, true
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

// wallTime turns a lastSeen into a time of day. The monotonic reading is kept, for Sub.
func (i *Inventory) wallTime(seen int64) time.Time { return i.epoch.Add(time.Duration(seen)) }
