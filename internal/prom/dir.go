package prom

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// dirLock locks a data directory against other processes, with the lock file of a separate Prometheus.
type dirLock struct {
	path     string
	releaser fileutil.Releaser
}

var errInUse = errors.New("in use by another process")

// dirError says why a data directory can't be locked, and the remedy.
type dirError struct {
	err    error
	remedy string
}

func (e *dirError) Error() string { return e.err.Error() + "; " + e.remedy }
func (e *dirError) Unwrap() error { return e.err }

// lockDir creates the directory if it is absent and locks it. dir is an absolute path.
func lockDir(dir string) (*dirLock, *dirError) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		why, do := durable.Cause(err), dirRemedy(err)
		if e, ok := errors.AsType[*os.PathError](err); ok && (errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrExist)) {
			why, do = fmt.Errorf("%s is a file", e.Path), "move it away"
		}
		return nil, &dirError{fmt.Errorf("prometheus: data directory %s can't be created: %w", dir, why), do}
	}
	path := filepath.Join(dir, "lock")
	releaser, _, err := fileutil.Flock(path)
	switch {
	case err == nil:
		return &dirLock{path, releaser}, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, &dirError{fmt.Errorf("prometheus: data directory %s is %w", dir, errInUse), "stop that process, or set another --data-dir"}
	case isDir(path):
		return nil, &dirError{fmt.Errorf("prometheus: data directory %s can't be written to: %s is a directory", dir, path), "move it away"}
	}
	return nil, &dirError{fmt.Errorf("prometheus: data directory %s can't be written to: %w", dir, durable.Cause(err)), dirRemedy(err)}
}

// dirRemedy returns the remedy for a directory that can't be created or written to.
func dirRemedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "give this user write permission, or set another --data-dir"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space on its disk"
	}
	return "check the disk, or set another --data-dir"
}

func (l *dirLock) release() error {
	return errors.Join(os.Remove(l.path), l.releaser.Release())
}
