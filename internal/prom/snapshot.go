package prom

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// snapshotDir is where the snapshot is in the data directory while it is copied. It must be on the disk of the blocks, and its name is none
// of a block.
const snapshotDir = "backup.partial"

// Errors of snapshots.
var (
	// ErrNotReady says that the data is not open: Prometheus starts, stops or has a problem.
	ErrNotReady = errors.New("the embedded Prometheus has not opened its data")
	// ErrNoLinks says that the file system of the data directory has no hard links.
	ErrNoLinks = errors.New("the file system of the embedded Prometheus has no hard links, which a copy of samples needs")
)

// Snapshot is a copy of all samples: hard links to the files of the blocks, and a new block of the samples that are in none yet.
type Snapshot struct {
	// Dir holds Files, which are relative to it, with slashes.
	Dir   string
	Files []string
	Bytes int64
	// Blocks counts the blocks. From and To are the times of the first and the last sample; zero without a sample.
	Blocks   int
	From, To time.Time
}

// SnapshotBytes returns how much room a snapshot needs on the disk of the data directory at most. What is in blocks needs none.
func (p *Prometheus) SnapshotBytes() int64 {
	return treeSize(filepath.Join(p.opts.Dir, "wal")) + treeSize(filepath.Join(p.opts.Dir, "chunks_head"))
}

// TakeSnapshot makes a snapshot, in place of an earlier one. Scrapes and queries go on; only the compaction of blocks waits. Call Remove when
// it is not needed any more. A crash leaves it behind, and the next start removes it. The errors are ErrNotReady, ErrNoLinks, one of the disk,
// or ctx's.
func (p *Prometheus) TakeSnapshot(ctx context.Context) (_ *Snapshot, err error) {
	if !p.requests.begin() { // the storage is not closed before the end
		return nil, ErrNotReady
	}
	defer p.requests.end()
	c := p.core.Load()
	if c == nil {
		if err := p.Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotReady, err)
		}
		return nil, ErrNotReady
	}
	dir := filepath.Join(p.opts.Dir, snapshotDir)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return nil, fmt.Errorf("snapshot of samples in %s: %w", dir, durable.Cause(err))
	}
	s := &Snapshot{Dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Remove())
		}
	}()
	err = recovered(func() error {
		head := c.db.Head()
		return c.db.Snapshot(dir, head.MinTime() <= head.MaxTime()) // an empty head has no times
	})
	switch {
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.EMLINK):
		return nil, fmt.Errorf("%w: %w", ErrNoLinks, err)
	case err != nil:
		return nil, fmt.Errorf("snapshot of samples in %s: %w", dir, err)
	case ctx.Err() != nil: // the TSDB cannot be interrupted
		return nil, context.Cause(ctx)
	}
	return s, s.list()
}

// list looks at what is in the snapshot.
func (s *Snapshot) list() error {
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	err := filepath.WalkDir(s.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.Dir, path)
		if err != nil {
			return err
		}
		s.Files = append(s.Files, filepath.ToSlash(name))
		s.Bytes += info.Size()
		if e.Name() != "meta.json" {
			return nil
		}
		meta, err := readMeta(filepath.Dir(path))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		s.Blocks++
		first, last = min(first, meta.MinTime), max(last, meta.MaxTime-1) // the end is exclusive
		return nil
	})
	if s.Blocks > 0 {
		s.From, s.To = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
	}
	return err
}

// Remove removes the snapshot.
func (s *Snapshot) Remove() error { return os.RemoveAll(s.Dir) }

// removeSnapshot removes the one that a process has left which ended while it made a backup.
func (p *Prometheus) removeSnapshot() {
	dir := filepath.Join(p.opts.Dir, snapshotDir)
	if _, err := os.Lstat(dir); err != nil {
		return // there is none
	}
	if err := os.RemoveAll(dir); err != nil {
		p.logger.Warn("the copy of samples that an interrupted backup has left could not be removed; remove it", "dir", dir, "error", err)
		return
	}
	p.logger.Info("removed the copy of samples that an interrupted backup has left", "dir", dir)
}
