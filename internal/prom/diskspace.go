package prom

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stackscope/stackscope/internal/base/freespace"
)

const (
	// minFree is the free disk space that the TSDB needs to open and to store samples. The TSDB panics if it can't write a finished
	// chunk, so samples are discarded before the disk is full.
	minFree = 8 << 20
	// freePerSeries is the space for the finished chunks of a series that are not yet written.
	freePerSeries = 256
	// replayShare divides the WAL's size: so much space is needed for chunks written during the replay, at most maxReplayed.
	replayShare = 4
	maxReplayed = 256 << 20

	spaceInterval = time.Second
)

// diskSpace checks the free space of the data directory's disk.
type diskSpace struct {
	dir    string
	health *health
	free   func(dir string) (bytes uint64, ok bool) // not ok: unknown

	start time.Time    // for the monotonic clock, because the wall clock may be set back
	next  atomic.Int64 // time of the next check, since start
	low   atomic.Bool
}

func newDiskSpace(dir string, h *health) *diskSpace {
	return &diskSpace{dir: dir, health: h, free: freespace.Of, start: time.Now()}
}

// faults returns a fault if there is too little space to open the data.
func (d *diskSpace) faults() []fault {
	need := uint64(minFree) + min(uint64(treeSize(filepath.Join(d.dir, "wal")))/replayShare, maxReplayed)
	if free, ok := d.free(d.dir); ok && free < need {
		return []fault{{path: d.dir, what: "disk under", err: noSpaceError(free, need)}}
	}
	return nil
}

func noSpaceError(free, need uint64) error {
	return fmt.Errorf("%d MiB are free, %d MiB are needed: %w", free>>20, need>>20, syscall.ENOSPC)
}

// canStore reports whether there is enough space to store samples while the head has that many series. It checks once a second.
func (d *diskSpace) canStore(series uint64) bool {
	now := int64(time.Since(d.start))
	next := d.next.Load()
	if now < next || !d.next.CompareAndSwap(next, now+int64(spaceInterval)) {
		return !d.low.Load()
	}
	need := minFree + freePerSeries*series
	free, ok := d.free(d.dir)
	low := ok && free < need
	switch was := d.low.Swap(low); {
	case low:
		err := fmt.Errorf("prometheus: the disk under %s is full, scraped samples are not stored: %w; free space there, or lower "+
			"--builtin-prometheus-retention-size", d.dir, noSpaceError(free, need))
		if d.health.set(problemDisk, err) {
			d.health.logger.Error("the disk is full: scraped samples are not stored", "error", err)
		}
	case was:
		lasted, _ := d.health.clear(problemDisk)
		d.health.logger.Warn("the disk has free space again: scraped samples are stored", "after", lasted.Round(time.Second))
	}
	return !low
}
