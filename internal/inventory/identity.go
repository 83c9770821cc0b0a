package inventory

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	// liveReports is within how many report intervals of its last sign of life a worker counts as live.
	liveReports = 3
	// maxSuperseded bounds the runs that are remembered of a worker.
	maxSuperseded = 8
)

// process is what is known of the process that is the worker now. It isn't stored.
type process struct {
	run         string   // empty: not known
	superseded  []string // the runs that another one took the worker over from, the latest first; never changed in place
	joined      int64    // when it registered, as lastSeen; never: before this server began
	lastRefused string   // who was last refused for its sake and logged
	contestedAt int64    // when another was first refused for its sake, as lastSeen; 0: never
}

// beginProcess makes the process that registers the worker from now on.
func (i *Inventory) beginProcess(w *worker, r fleet.Registration) {
	next := process{run: r.Run, joined: int64(i.now().Sub(i.epoch))}
	for _, run := range append([]string{w.run}, w.superseded...) {
		if run != "" && run != r.Run && len(next.superseded) < maxSuperseded {
			next.superseded = append(next.superseded, run)
		}
	}
	w.process = next
	w.LeftAt = time.Time{}
}

// isLive reports whether the worker's process is taken to run still.
func (i *Inventory) isLive(w *worker) bool {
	last := max(w.joined, w.lastSeen.Load())
	return w.LeftAt.IsZero() && last != never && time.Since(i.epoch)-time.Duration(last) < i.liveDuration(w)
}

// liveDuration is how long after its last sign of life the worker counts as live. One that has reported after another was refused for its
// sake was not that other one before: then a failure of its network does not make room for a copy.
func (i *Inventory) liveDuration(w *worker) time.Duration {
	if w.contestedAt != 0 && w.lastSeen.Load() > w.contestedAt {
		return i.opts.HeartbeatGrace
	}
	return min(liveReports*i.opts.ReportInterval, i.opts.HeartbeatGrace)
}

// checkSecondWorker returns fleet.ErrTwoWorkers when the registration shows that two live processes have the identity of a known worker:
// it comes from elsewhere while the worker lives, or it is of a run that another one took the worker over from. One that comes
// from where the worker was is the worker started again.
func (i *Inventory) checkSecondWorker(known *worker, r fleet.Registration) error {
	if known == nil || r.Run != "" && r.Run == known.run || !i.isLive(known) {
		return nil
	}
	had, comes := hostPort(known.Address, known.MetricsPort), hostPort(r.Address, r.MetricsPort)
	if had == comes && !slices.Contains(known.superseded, r.Run) {
		return nil
	}
	if known.contestedAt == 0 {
		known.contestedAt = max(1, int64(time.Since(i.epoch)))
	}
	if who := r.Run + " " + comes; known.lastRefused != who {
		known.lastRefused = who
		i.log.Warn("a second live worker has the identity of another and is refused: one of the two has a copy of the other's data directory",
			"worker", known.Name, "worker_id", known.ID, "address", had, "refused", r.Name, "refused_address", comes)
	}
	if had == comes {
		return fmt.Errorf("%w: worker %d, %q, has it and goes on; it and this one, %q, both say that they are at %s: either may be the copy: stop the one whose machine or data directory "+
			"is, remove worker.json in its data directory, give it an address of its own with --worker-ip, and start it again: it gets an identity of its own",
			fleet.ErrTwoWorkers, known.ID, known.Name, r.Name, had)
	}
	return fmt.Errorf("%w: worker %d, %q, at %s has it and goes on; this one, %q, comes from %s: stop one of the two; if this one's machine or data directory is a copy, "+
		"stop this worker, remove worker.json in its data directory and start it again: it gets an identity of its own; if the other one has ended without saying so, this one is taken %s after its last report",
		fleet.ErrTwoWorkers, known.ID, known.Name, had, r.Name, comes, i.liveDuration(known))
}

func hostPort(address string, port int) string {
	if port == 0 {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(port))
}

// keepsName reports whether a worker keeps its name from another machine that wants it: one that is ready, and one that has only
// just stopped, as it may come back. A machine of its address is the same one set up anew.
func (i *Inventory) keepsName(w *worker, r fleet.Registration) bool {
	return w.State == fleet.WorkerReady ||
		!w.LeftAt.IsZero() && time.Since(w.LeftAt) < i.opts.HeartbeatGrace && w.Address != r.Address
}

// recordStop notes that the worker said that it stops.
func (i *Inventory) recordStop(w *worker, applied int64) {
	w.lastSeen.Store(int64(time.Since(i.epoch)))
	w.AppliedGeneration = applied
	i.setState(w, fleet.WorkerNotReady)
	w.LeftAt = time.Now()
	i.unsaved.workers[w.ID] = struct{}{}
	i.advanceClock(w)
	i.markChanged(staleAll)
	i.log.Info("worker stopped", "worker", w.Name, "worker_id", w.ID, "cluster", w.cluster.Name)
}

// notReadyReason says why the worker isn't ready, and so why its instances are unreachable; empty: it is ready. It stays the same
// as long as the reason does.
func (i *Inventory) notReadyReason(w *worker) string {
	switch seen := w.lastSeen.Load(); {
	case w.State == fleet.WorkerReady:
		return ""
	case !w.LeftAt.IsZero():
		return "worker stopped"
	case seen == never, w.joined > seen:
		return "worker joined and has not reported yet"
	default:
		return "worker stopped reporting at " + i.wallTime(seen).UTC().Format(time.RFC3339)
	}
}
