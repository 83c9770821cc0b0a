package inventory

import (
	"context"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// maxSilentLogged bounds the log lines when many workers fall silent at once, as when the network fails.
const maxSilentLogged = 10

// Run watches the clock until ctx ends: workers that are silent for longer than the grace period become not ready, models
// without instances are forgotten after their retention, and heartbeats are stored now and then.
func (i *Inventory) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due, nextSave := time.Now(), time.Now().Add(i.opts.HeartbeatSaveInterval)
	for {
		select {
		case <-ctx.Done():
			return i.saveAll(ctx)
		case <-timer.C:
		case <-i.retry:
			if i.Err() != nil { // it has just failed
				if soon := time.Now().Add(retryInterval); soon.Before(due) {
					due = soon
				}
				timer.Reset(time.Until(due))
				continue
			}
		}
		next, err := i.expire(ctx)
		if err != nil {
			return i.saveAll(ctx)
		}
		done, err := acquire(ctx, i.storeLock)
		if err != nil {
			return i.saveAll(ctx)
		}
		heartbeats := !time.Now().Before(nextSave)
		if heartbeats {
			nextSave = time.Now().Add(i.opts.HeartbeatSaveInterval)
		}
		if i.save(ctx, heartbeats) != nil {
			next = min(next, retryInterval)
		}
		done()
		due = time.Now().Add(min(next, time.Until(nextSave)))
		timer.Reset(time.Until(due))
	}
}

// expire does what time brings about and returns how long it takes until it may have to again.
func (i *Inventory) expire(ctx context.Context) (next time.Duration, err error) {
	release, err := i.lockRows(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	i.mu.Lock()
	defer i.mu.Unlock()
	return min(i.expireWorkers(), i.expireModels()), nil
}

// saveAll stores what memory alone knows.
func (i *Inventory) saveAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	done, err := acquire(ctx, i.storeLock)
	if err != nil {
		return err
	}
	defer done()
	if err := i.save(ctx, true); err != nil {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.log.ErrorContext(ctx, "the server ends with changes that workers reported and that are not stored; they report them again", "rows", i.unsaved.count(), "error", err)
	}
	return nil
}

// expireWorkers makes silent workers not ready and returns how long it takes until the next may be. Heartbeats only put that
// off, and a worker that joins has a whole grace period.
func (i *Inventory) expireWorkers() (next time.Duration) {
	next = i.opts.HeartbeatGrace
	silent := 0
	now := time.Since(i.epoch)
	for _, w := range i.workerList {
		if w.State != fleet.WorkerReady {
			continue
		}
		since := now - max(time.Duration(w.lastSeen.Load()), 0) // a stored heartbeat counts from the start
		if since < i.opts.HeartbeatGrace {
			next = min(next, i.opts.HeartbeatGrace-since)
			continue
		}
		i.setState(w, fleet.WorkerNotReady)
		i.unsaved.workers[w.ID] = struct{}{}
		i.markChanged(staleAll)
		if silent++; silent <= maxSilentLogged {
			i.log.Warn("worker is not ready: it stopped reporting", "worker", w.Name, "worker_id", w.ID, "cluster", w.cluster.Name, "silent", since.Round(time.Second))
		}
	}
	if silent > maxSilentLogged {
		i.log.Warn("more workers are not ready: they stopped reporting", "workers", silent-maxSilentLogged)
	}
	return next
}

// expireModels removes models that had no instances for long and returns how long it takes until the next may be.
func (i *Inventory) expireModels() (next time.Duration) {
	next = i.opts.ModelRetention
	for _, m := range i.modelList {
		if m.removed || len(m.instances) > 0 {
			continue
		}
		if age := time.Since(m.EmptySince); age < i.opts.ModelRetention {
			next = min(next, i.opts.ModelRetention-age)
			continue
		}
		i.removeModel(m)
		i.log.Info("model forgotten: it had no instances for long", "model", m.Name, "model_id", m.ID, "cluster", m.cluster.Name)
	}
	return next
}
