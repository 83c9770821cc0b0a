package prom

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/prometheus/prometheus/tsdb/fileutil"
)

// dirLock holds a data directory against other processes, by the same file as a separate Prometheus does.
type dirLock struct {
	path     string
	releaser fileutil.Releaser
}

var errInUse = errors.New("in use by another process")

// lockDir makes the directory, an absolute path, where it is absent and locks it.
func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("prometheus: data directory %s can't be made: %w; choose another one", dir, reason(err))
	}
	path := filepath.Join(dir, "lock")
	releaser, _, err := fileutil.Flock(path)
	switch {
	case err == nil:
		return &dirLock{path, releaser}, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, fmt.Errorf("prometheus: data directory %s is %w: stop that one or choose another directory", dir, errInUse)
	}
	return nil, fmt.Errorf("prometheus: data directory %s can't be written to: %w; give this user the right to, or choose another one",
		dir, reason(err))
}

func (l *dirLock) release() error {
	return errors.Join(os.Remove(l.path), l.releaser.Release())
}

// reason strips the operation and the path, which the message around it says already.
func reason(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
