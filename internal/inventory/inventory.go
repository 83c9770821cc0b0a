// Package inventory knows the fleet: which workers joined, what they report and which of them fell silent. It keeps the
// truth in memory, writes it through to a store and hands it out as immutable snapshots and as the server's metrics.
//
// What is acknowledged is stored. Joining and removing are requests: they happen in memory when they are stored, and one that
// could not be stored has changed nothing. Reports are observations: memory shows them at once, and one whose news could not
// be stored is answered with fleet.ErrNotStored, as are all of that worker's that follow until they are. Heartbeats bring no
// news. When a worker last reported and which mapping it applies is stored every minute and isn't waited for.
package inventory

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Store keeps the inventory across restarts. The inventory is its only writer.
type Store interface {
	// Load returns what Apply stored, each kind in the order of its ids, and what of that is damaged.
	Load(ctx context.Context) (fleet.Records, error)
	// NewIDs reserves ids and returns the first of each kind. An id is never given twice.
	NewIDs(ctx context.Context, want fleet.IDs) (fleet.IDs, error)
	// Apply stores changes, all or none. It may keep nothing of them. Storing the same rows again is allowed.
	Apply(ctx context.Context, changes *fleet.Changes) error
}

// Options are the settings of an Inventory. Zero values take the default.
type Options struct {
	Store  Store
	Logger *slog.Logger
	// HeartbeatGrace is how long a worker may be silent before it is not ready any more, 150 s by default (GPUStack's).
	HeartbeatGrace time.Duration
	// ReportInterval is how often workers are told to report, 10 s by default.
	ReportInterval time.Duration
	// ModelRetention is how long a model is kept without instances, 24 h by default.
	ModelRetention time.Duration
	// HeartbeatSaveInterval is how often the times of heartbeats are stored, every minute by default.
	HeartbeatSaveInterval time.Duration
	// MaxWorkers, MaxClusters and MaxModels bound the fleet: 20,000, 1,000 and 100,000 by default.
	MaxWorkers, MaxClusters, MaxModels int
	// MaxRevoked bounds the revoked workers: 10,000 by default.
	MaxRevoked int
	// Version is the server's, which the versions of workers are compared with; empty: they are not.
	Version string
}

const (
	// notifyInterval bounds how often subscribers are woken: 10,000 workers that apply a new mapping are a few changes.
	notifyInterval = 100 * time.Millisecond
	// retryInterval is when storing is tried again after it failed.
	retryInterval = 10 * time.Second
	// saveTimeout bounds one transaction. Storing goes on when the request that caused it is gone.
	saveTimeout = 10 * time.Second
)

// Inventory is the fleet's state machine. Its methods may be called at the same time.
type Inventory struct {
	opts  Options
	log   *slog.Logger
	epoch time.Time // start, with the monotonic clock: silence is measured from here

	// writing holds a token while nobody changes which rows there are.
	rowLock chan struct{}
	// saving holds a token while nothing is being stored, so that the store sees changes in their order. Who takes both takes
	// writing first.
	storeLock chan struct{}
	retry     chan struct{} // wakes Run
	refused   refusals

	mu sync.Mutex // guards what follows; never held while storing
	rows
	revoked  revoked
	unsaved  unsaved
	saved    saved
	dryRun   dryRun
	notifier notifier

	versionsTold toldVersions

	// view is what readers get while stale says that it is fresh. Both change under mu only.
	view  atomic.Pointer[view]
	stale atomic.Int32 // a staleness
}

// New loads the inventory from the store and sees to it that the default cluster exists. Workers keep the state they were
// stored with and have one grace period, counted from now, to report again.
func New(ctx context.Context, opts Options) (*Inventory, error) {
	opts.HeartbeatGrace = orDefault(opts.HeartbeatGrace, 150*time.Second)
	opts.ReportInterval = orDefault(opts.ReportInterval, 10*time.Second)
	opts.ModelRetention = orDefault(opts.ModelRetention, 24*time.Hour)
	opts.HeartbeatSaveInterval = orDefault(opts.HeartbeatSaveInterval, time.Minute)
	opts.MaxWorkers = orDefault(opts.MaxWorkers, 20_000)
	opts.MaxClusters = orDefault(opts.MaxClusters, 1_000)
	opts.MaxModels = orDefault(opts.MaxModels, 100_000)
	opts.MaxRevoked = orDefault(opts.MaxRevoked, 10_000)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	i := &Inventory{
		opts:      opts,
		log:       opts.Logger.With(logging.KeyComponent, "inventory"),
		epoch:     time.Now(),
		rowLock:   make(chan struct{}, 1),
		storeLock: make(chan struct{}, 1),
		retry:     make(chan struct{}, 1),
		rows:      newRows(),
		revoked:   newRevoked(),
		unsaved:   newUnsaved(),
		saved:     saved{attemptDone: make(chan struct{})},
		notifier:  newNotifier(),

		versionsTold: toldVersions{},
	}
	i.rowLock <- struct{}{}
	i.storeLock <- struct{}{}
	records, err := opts.Store.Load(ctx)
	if err != nil {
		return nil, err
	}
	i.load(records)
	i.tellStoredVersions()
	if _, ok := i.clusterNamed[fleet.DefaultClusterName]; !ok {
		if err := i.makeDefaultCluster(ctx); err != nil {
			return nil, err
		}
	}
	i.rebuild()
	return i, nil
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

func (i *Inventory) makeDefaultCluster(ctx context.Context) error {
	first, err := i.opts.Store.NewIDs(ctx, fleet.IDs{Clusters: 1})
	if err != nil {
		return err
	}
	i.addCluster(first.Clusters, fleet.DefaultClusterName)
	changes, _ := i.takeUnsaved()
	return i.opts.Store.Apply(ctx, changes)
}

// lockRows takes the right to change which rows there are, and returns what gives it back.
func (i *Inventory) lockRows(ctx context.Context) (release func(), err error) {
	return acquire(ctx, i.rowLock)
}

func acquire(ctx context.Context, token chan struct{}) (giveBack func(), err error) {
	select {
	case <-token:
		return func() { token <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Snapshot returns the inventory as it is now, sorted by id. It is shared and must not be changed.
func (i *Inventory) Snapshot() *fleet.Snapshot { return &i.current(fresh).snapshot }

// Err returns why the inventory could not be stored when that was last tried; nil if it was stored. The inventory goes on
// meanwhile and tries again.
func (i *Inventory) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.saved.err
}

// Changed returns a channel that is signalled after the snapshot changed, at most ten times a second, and a function
// that ends the subscription. A signal that was not yet received stands for all changes since. Heartbeats that change
// nothing but the time of the last report are not signalled.
func (i *Inventory) Changed() (<-chan struct{}, func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	ch := make(chan struct{}, 1)
	i.notifier.subscribers[ch] = struct{}{}
	return ch, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.notifier.subscribers, ch)
	}
}

// notifier wakes subscribers, not more often than every notifyInterval.
type notifier struct {
	subscribers map[chan struct{}]struct{}
	last        time.Time
	waiting     bool
}

func newNotifier() notifier { return notifier{subscribers: make(map[chan struct{}]struct{})} }

// markStale marks the view as out of date. i.mu is held.
func (i *Inventory) markStale(what staleness) {
	if i.dryRun.on {
		return
	}
	i.stale.Store(max(i.stale.Load(), int32(what)))
}

// markChanged marks the view as out of date and wakes subscribers. i.mu is held.
func (i *Inventory) markChanged(what staleness) {
	i.markStale(what)
	if i.notifier.waiting || i.dryRun.on {
		return
	}
	if wait := notifyInterval - time.Since(i.notifier.last); wait > 0 {
		i.notifier.waiting = true
		time.AfterFunc(wait, func() {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.notifier.notify()
		})
		return
	}
	i.notifier.notify()
}

func (b *notifier) notify() {
	b.waiting = false
	b.last = time.Now()
	for ch := range b.subscribers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
