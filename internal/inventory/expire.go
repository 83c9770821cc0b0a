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
	nextSave := time.Now().Add(i.opts.HeartbeatSaveInterval)
	for {
		select {
		case <-ctx.Done():
			return i.finish(ctx)
		case <-timer.C:
		}
		release, err := i.hold(ctx)
		if err != nil {
			return i.finish(ctx)
		}
		i.mu.Lock()
		next := min(i.silence(), i.forget())
		i.mu.Unlock()
		heartbeats := !time.Now().Before(nextSave)
		if heartbeats {
			nextSave = time.Now().Add(i.opts.HeartbeatSaveInterval)
		}
		i.save(ctx, heartbeats)
		if i.Err() != nil {
			next = min(next, retryInterval)
		}
		release()
		timer.Reset(min(next, time.Until(nextSave)))
	}
}

// finish stores what memory alone knows.
func (i *Inventory) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	release, err := i.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	i.save(ctx, true)
	return nil
}

// silence makes silent workers not ready and returns how long it takes until the next may be. Heartbeats only put that
// off, and a worker that joins has a whole grace period.
func (i *Inventory) silence() (next time.Duration) {
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
		w.State = fleet.WorkerNotReady
		i.unsaved.workers[w.ID] = struct{}{}
		i.changed(staleAll)
		if silent++; silent <= maxSilentLogged {
			i.log.Warn("worker is not ready: it stopped reporting", "worker", w.Name, "worker_id", w.ID, "cluster", w.cluster.Name, "silent", since.Round(time.Second))
		}
	}
	if silent > maxSilentLogged {
		i.log.Warn("more workers are not ready: they stopped reporting", "workers", silent-maxSilentLogged)
	}
	return next
}

// forget removes models that had no instances for long and returns how long it takes until the next may be.
func (i *Inventory) forget() (next time.Duration) {
	next = i.opts.ModelRetention
	for _, m := range i.modelList {
		if m.gone || len(m.instances) > 0 {
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
