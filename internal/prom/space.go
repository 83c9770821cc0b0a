package prom

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// minFree is what must be left on the disk for the TSDB to be opened and written to. The TSDB ends the process when it can't
	// write a chunk that it has finished, so it is stopped from finishing more before the disk is full.
	minFree = 8 << 20
	// freePerSeries is the room for the chunks of a series that are finished and not yet written.
	freePerSeries = 256
	// replayed is the share of the write-ahead log that may become chunks while it is read, at most maxReplayed.
	replayed    = 4
	maxReplayed = 256 << 20

	spaceInterval = time.Second
)

// space watches how much is left on the disk under the data directory.
type space struct {
	dir    string
	health *health
	free   func(dir string) (bytes uint64, ok bool) // not ok: the system doesn't say

	start time.Time    // for the monotonic clock: the other may be set back
	next  atomic.Int64 // when to look again, since start
	low   atomic.Bool
}

func newSpace(dir string, h *health) *space {
	return &space{dir: dir, health: h, free: freeSpace, start: time.Now()}
}

// faults returns one when too little is left to open the data.
func (s *space) faults() []fault {
	need := uint64(minFree) + min(uint64(treeSize(filepath.Join(s.dir, "wal")))/replayed, maxReplayed)
	if free, ok := s.free(s.dir); ok && free < need {
		return []fault{{path: s.dir, what: "disk under", err: tooLittle(free, need)}}
	}
	return nil
}

func tooLittle(free, need uint64) error {
	return fmt.Errorf("%d MiB are free, %d MiB are needed: %w", free>>20, need>>20, syscall.ENOSPC)
}

// enough reports whether what is scraped may be stored while the head has that many series. It asks the system once a second.
func (s *space) enough(series uint64) bool {
	now := int64(time.Since(s.start))
	next := s.next.Load()
	if now < next || !s.next.CompareAndSwap(next, now+int64(spaceInterval)) {
		return !s.low.Load()
	}
	need := minFree + freePerSeries*series
	free, ok := s.free(s.dir)
	low := ok && free < need
	switch was := s.low.Swap(low); {
	case low:
		err := fmt.Errorf("prometheus: the disk under %s is full, nothing that is scraped is stored: %w; make room there, or keep less "+
			"with --builtin-prometheus-retention-size", s.dir, tooLittle(free, need))
		if s.health.set(problemDisk, err) {
			s.health.logger.Error("the disk is full: what is scraped is not stored", "error", err)
		}
	case was:
		lasted, _ := s.health.clear(problemDisk)
		s.health.logger.Warn("the disk has room again: what is scraped is stored", "after", lasted.Round(time.Second))
	}
	return !low
}
