package prom

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// quarantine moves data that the TSDB can't read into a separate directory inside the data directory. Nothing is deleted.
type quarantine struct {
	dir    string // the data directory
	target string // made by the first move
	logger *slog.Logger
}

func newQuarantine(dir string, now time.Time, logger *slog.Logger) *quarantine {
	into := filepath.Join(dir, "damaged-"+now.UTC().Format("20060102T150405Z"))
	for n := 2; exists(into); n++ {
		into = filepath.Join(dir, fmt.Sprintf("damaged-%s-%d", now.UTC().Format("20060102T150405Z"), n))
	}
	return &quarantine{dir, into, logger}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// move moves a file or directory of the data directory to the same relative path below target.
func (q *quarantine) move(path, lost string) error {
	inside, err := filepath.Rel(q.dir, path)
	if err != nil {
		return fmt.Errorf("move %s aside: %w", path, err)
	}
	to := filepath.Join(q.target, inside)
	size := treeSize(path)
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return fmt.Errorf("move %s aside: %w", path, err)
	}
	if err := os.Rename(path, to); err != nil {
		return fmt.Errorf("move %s aside: %w", path, err)
	}
	q.logger.Warn("moved damaged data of Prometheus aside", "path", path, "to", to, "bytes", size, "lost", lost)
	return nil
}

// emptySegment creates an empty segment in place of a missing one, so that the TSDB reads the segments after it.
func (q *quarantine) emptySegment(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640) //nolint:gosec // below the data directory
	if err != nil {
		return fmt.Errorf("create an empty segment in place of a missing one: %w", err)
	}
	q.logger.Warn("created an empty segment in place of a missing one", "path", path)
	return f.Close()
}

// emptyCheckpoint creates a checkpoint without records at path, so that the TSDB reads the WAL segments after it.
func (q *quarantine) emptyCheckpoint(path string) error {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return fmt.Errorf("create an empty checkpoint in place of a damaged one: %w", err)
	}
	return q.emptySegment(filepath.Join(path, "00000000"))
}

// treeSize returns the bytes in the files of a tree.
func treeSize(path string) (size int64) {
	_ = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil //nolint:nilerr // what can't be read isn't counted
		}
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size
}
