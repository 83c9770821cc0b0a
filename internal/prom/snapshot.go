package prom

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// snapshotsDir is where snapshots are in the data directory while they are copied. It must be on the disk of the blocks, and its name is
// none of a block.
const snapshotsDir = "backup.partial"

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

// TakeSnapshot makes a snapshot. Scrapes and queries go on; only the compaction of blocks waits. Call Remove when it is not needed any more.
// A crash leaves one behind, which the next start removes. It returns ErrNotReady, ErrNoLinks, an error of the disk, or ctx's error.
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
	parent := filepath.Join(p.opts.Dir, snapshotsDir)
	if err := os.Mkdir(parent, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("snapshot of samples in %s: %w", parent, durable.Cause(err))
	}
	dir, err := os.MkdirTemp(parent, "samples-*")
	if err != nil {
		return nil, fmt.Errorf("snapshot of samples in %s: %w", parent, durable.Cause(err))
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
func (s *Snapshot) Remove() error {
	err := os.RemoveAll(s.Dir)
	if rest := os.Remove(filepath.Dir(s.Dir)); err == nil && rest != nil && !errors.Is(rest, syscall.ENOTEMPTY) && !errors.Is(rest, fs.ErrExist) && !errors.Is(rest, fs.ErrNotExist) {
		err = rest
	}
	return err
}

// removeSnapshots removes those that a process has left which ended while it made a backup.
func (p *Prometheus) removeSnapshots() {
	dir := filepath.Join(p.opts.Dir, snapshotsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // there is none
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "samples-") {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err := errors.Join(err, os.Remove(dir)); err != nil {
		p.logger.Warn("the copy of samples that an interrupted backup has left could not be removed; remove it", "dir", dir, "error", err)
		return
	}
	p.logger.Info("removed the copy of samples that an interrupted backup has left", "dir", dir)
}
