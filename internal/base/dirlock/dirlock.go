// Package dirlock makes a process the only one of its kind on a data directory. The lock is on a file of its own, so that others
// may read what lies beside it. The system releases it when the process dies, whatever the cause.
package dirlock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// Lock is a lock that is held.
type Lock struct {
	file *os.File
	made bool
}

var (
	// ErrHeld says that another process holds the lock.
	ErrHeld = errors.New("locked by another process")
	// ErrUnsupported says that the file system has no locks.
	ErrUnsupported = errors.New("this file system has no locks")
)

// Take locks dir by the file name in it. who is what the lock is for, such as server, in the error that says what to do.
func Take(dir, name, who string) (*Lock, error) {
	l, err := TakeFile(filepath.Join(dir, name))
	switch held, isHeld := errors.AsType[*heldError](err); {
	case err == nil:
		return l, nil
	case isHeld:
		return nil, fmt.Errorf("data directory %s is %w (pid %s): stop that %s or choose another directory with --data-dir", dir, ErrHeld, held.pid, who)
	case errors.Is(err, ErrUnsupported):
		return nil, fmt.Errorf("lock data directory %s: %w; choose a directory on a local disk with --data-dir", dir, err)
	}
	return nil, fmt.Errorf("data directory %s cannot be written (%w): change its owner or choose another with --data-dir", dir, durable.Cause(err))
}

// TakeFile locks a file, which it makes if there is none. The error is ErrHeld, ErrUnsupported or the system's.
func TakeFile(path string) (*Lock, error) {
	_, err := os.Lstat(path)
	made := errors.Is(err, fs.ErrNotExist)
	f, err := take(path)
	if err != nil {
		return nil, err
	}
	return &Lock{f, made}, nil
}

// Release unlocks the directory. The file stays: to remove it would take the lock from whoever waits for it.
func (l *Lock) Release() error { return l.file.Close() }

// Abandon unlocks the directory and leaves no file that was not there before.
func (l *Lock) Abandon() error {
	var err error
	if l.made {
		err = os.Remove(l.file.Name())
	}
	return errors.Join(err, l.Release())
}

// heldError says whose the lock is.
type heldError struct{ pid string }

func (e *heldError) Error() string { return ErrHeld.Error() }

func (e *heldError) Unwrap() error { return ErrHeld }
