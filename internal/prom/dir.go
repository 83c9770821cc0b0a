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

// dirLock holds a data directory against other processes, by the same file as a separate Prometheus does.
type dirLock struct {
	path     string
	releaser fileutil.Releaser
}

var errInUse = errors.New("in use by another process")

// dirError says why a data directory can't be taken, and what to do about that.
type dirError struct {
	err error
	do  string
}

func (e *dirError) Error() string { return e.err.Error() + "; " + e.do }
func (e *dirError) Unwrap() error { return e.err }

// lockDir makes the directory, an absolute path, where it is absent and locks it.
func lockDir(dir string) (*dirLock, *dirError) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		why, do := durable.Cause(err), wayInto(err)
		if e, ok := errors.AsType[*os.PathError](err); ok && (errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrExist)) {
			why, do = fmt.Errorf("%s is a file", e.Path), "move it away"
		}
		return nil, &dirError{fmt.Errorf("prometheus: data directory %s can't be made: %w", dir, why), do}
	}
	path := filepath.Join(dir, "lock")
	releaser, _, err := fileutil.Flock(path)
	switch {
	case err == nil:
		return &dirLock{path, releaser}, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, &dirError{fmt.Errorf("prometheus: data directory %s is %w", dir, errInUse), "stop that one, or give another --data-dir"}
	case isDir(path):
		return nil, &dirError{fmt.Errorf("prometheus: data directory %s can't be written to: %s is a directory", dir, path), "move it away"}
	}
	return nil, &dirError{fmt.Errorf("prometheus: data directory %s can't be written to: %w", dir, durable.Cause(err)), wayInto(err)}
}

// wayInto says what to do about a directory that can't be made or written to.
func wayInto(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "give this user the right to, or another --data-dir"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "make room there"
	}
	return "look at the disk, or give another --data-dir"
}

func (l *dirLock) release() error {
	return errors.Join(os.Remove(l.path), l.releaser.Release())
}
