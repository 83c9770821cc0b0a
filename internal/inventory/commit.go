package inventory

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// dryRun is a change that is made to see which rows it changes, and undone before anybody else sees it.
type dryRun struct {
	on   bool
	undo []func()
	at   time.Time // the time at which the change happens, in a dry run and when it is made
}

// onUndo notes how to undo what is done next, in a dry run.
func (i *Inventory) onUndo(undo func()) {
	if i.dryRun.on {
		i.dryRun.undo = append(i.dryRun.undo, undo)
	}
}

// eventLog is where it is logged that something happens.
func (i *Inventory) eventLog() *slog.Logger {
	if i.dryRun.on {
		return slog.New(slog.DiscardHandler)
	}
	return i.log
}

// now is the time of the change that is under way.
func (i *Inventory) now() time.Time {
	if at := i.dryRun.at; !at.IsZero() {
		return at
	}
	return time.Now()
}

// commit makes a change in memory once it is stored, so that what is refused has changed nothing and nobody sees what is not
// stored. change is called with i.mu held, and twice: it must do the same both times. The caller holds i.writing.
func (i *Inventory) commit(ctx context.Context, change func()) error {
	done, err := acquire(ctx, i.storeLock)
	if err != nil {
		return err
	}
	defer done()
	i.mu.Lock()
	at := time.Now()
	i.dryRun = dryRun{on: true, at: at}
	change()
	changes, taken := i.takeUnsaved()
	for _, undo := range slices.Backward(i.dryRun.undo) {
		undo()
	}
	i.dryRun = dryRun{}
	return i.apply(ctx, changes, taken, func() {
		meanwhile := i.unsaved
		i.unsaved = newUnsaved()
		i.dryRun.at = at
		change()
		i.dryRun.at = time.Time{}
		i.unsaved = meanwhile
	})
}
