package inventory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// revoked holds the workers that an operator removed while they were alive.
type revoked struct {
	byID   map[int64]*fleet.RevokedWorker
	byUUID map[string]*fleet.RevokedWorker
}

func newRevoked() revoked {
	return revoked{byID: make(map[int64]*fleet.RevokedWorker), byUUID: make(map[string]*fleet.RevokedWorker)}
}

func (r *revoked) insert(w *fleet.RevokedWorker) {
	r.byID[w.ID] = w
	r.byUUID[w.UUID] = w
}

func (r *revoked) remove(w *fleet.RevokedWorker) {
	delete(r.byID, w.ID)
	delete(r.byUUID, w.UUID)
}

// refuseRevoked says why the registration is refused if an operator removed its worker. i.mu is held.
func (i *Inventory) refuseRevoked(r *fleet.Registration) error {
	w, ok := i.revoked.byUUID[r.UUID]
	if !ok {
		return nil
	}
	return &refusal{fmt.Sprintf("worker %s was removed by an operator at %s; allow it again with stackscope worker allow %d, on the server",
		fleet.ShownName(w.Name), w.RevokedAt.Format(time.RFC3339), w.ID)} // two revoked workers may have one name
}

// refusal is an ErrRevoked in a sentence of its own.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }
func (*refusal) Unwrap() error   { return fleet.ErrRevoked }

// isAlive reports whether the worker would soon come back if it were forgotten. i.mu is held.
func (i *Inventory) isAlive(w *worker) bool {
	last := max(w.joined, w.lastSeen.Load())
	return w.State == fleet.WorkerReady || w.LeftAt.IsZero() && last != never && time.Since(i.epoch)-time.Duration(last) < i.opts.HeartbeatGrace
}

// checkRevokeLimit says why no more workers can be revoked. i.mu is held.
func (i *Inventory) checkRevokeLimit(w *worker) error {
	if have := len(i.revoked.byID); have >= i.opts.MaxRevoked {
		return fmt.Errorf("%w: worker %s is alive and would come back, and %d are revoked already, the limit; allow those that exist no more (stackscope worker list, stackscope worker allow), or stop this worker and remove it when it is not ready",
			fleet.ErrRevokedFull, fleet.ShownName(w.Name), have)
	}
	return nil
}

// revoke keeps the worker out from now on. It is part of a change.
func (i *Inventory) revoke(w *worker) {
	r := &fleet.RevokedWorker{
		ID: w.ID, UUID: w.UUID, Name: w.Name, Cluster: w.cluster.Name, Address: w.Address,
		RevokedAt: i.now().Round(0).UTC().Truncate(time.Millisecond), // as it is stored
	}
	i.onUndo(func() { i.revoked.remove(r) })
	i.revoked.insert(r)
	i.unsaved.revoked[r.ID] = struct{}{}
}

// Revoked returns the revoked workers, those that an operator removed while they were alive, by their ids.
func (i *Inventory) Revoked() []fleet.RevokedWorker {
	i.mu.Lock()
	list := make([]fleet.RevokedWorker, 0, len(i.revoked.byID))
	for _, w := range i.revoked.byID {
		list = append(list, *w)
	}
	i.mu.Unlock()
	slices.SortFunc(list, func(a, b fleet.RevokedWorker) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Allow allows a revoked worker to join again, once that is stored. id is the one that it had; it joins under a new one. The error is
// fleet.ErrNoWorker if no such worker is revoked, or fleet.ErrNotStored; it is still revoked then.
func (i *Inventory) Allow(ctx context.Context, id int64) error {
	release, err := i.lockRows(ctx)
	if err != nil {
		return err
	}
	defer release()
	i.mu.Lock()
	w, ok := i.revoked.byID[id]
	i.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: worker %d is not revoked; stackscope worker list shows the revoked ones", fleet.ErrNoWorker, id)
	}
	return i.commit(ctx, func() {
		i.onUndo(func() { i.revoked.insert(w) })
		i.revoked.remove(w)
		i.unsaved.revoked[id] = struct{}{}
		i.eventLog().Info("removed worker may join again", "worker", w.Name, "worker_id", id, "cluster", w.Cluster)
	})
}
