package prom

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// aside moves what the TSDB can't read out of its way, into a directory of its own inside the data directory. Nothing is deleted.
type aside struct {
	dir    string // the data directory
	into   string // made by the first move
	logger *slog.Logger
}

func newAside(dir string, now time.Time, logger *slog.Logger) *aside {
	into := filepath.Join(dir, "damaged-"+now.UTC().Format("20060102T150405Z"))
	for n := 2; exists(into); n++ {
		into = filepath.Join(dir, fmt.Sprintf("damaged-%s-%d", now.UTC().Format("20060102T150405Z"), n))
	}
	return &aside{dir, into, logger}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// move takes path, a file or a directory inside the data directory, to the same place below into.
func (a *aside) move(path, lost string) error {
	inside, err := filepath.Rel(a.dir, path)
	if err != nil {
		return fmt.Errorf("move %s aside: %w", path, err)
	}
	to := filepath.Join(a.into, inside)
	size := treeSize(path)
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return fmt.Errorf("move %s aside: %w", path, err)
	}
	if err := os.Rename(path, to); err != nil {
		return fmt.Errorf("move %s aside: %w", path, err)
	}
	a.logger.Warn("moved damaged data of Prometheus aside", "path", path, "to", to, "bytes", size, "lost", lost)
	return nil
}

// emptySegment puts an empty segment where one is missing, so that those behind it count.
func (a *aside) emptySegment(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640) //nolint:gosec // below the data directory
	if err != nil {
		return fmt.Errorf("put an empty segment in the place of a missing one: %w", err)
	}
	a.logger.Warn("put an empty segment in the place of a missing one", "path", path)
	return f.Close()
}

// emptyCheckpoint puts a checkpoint without records at path, so that the log behind it can be read.
func (a *aside) emptyCheckpoint(path string) error {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return fmt.Errorf("put an empty checkpoint in the place of a damaged one: %w", err)
	}
	return a.emptySegment(filepath.Join(path, "00000000"))
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
