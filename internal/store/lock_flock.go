//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockDir makes this process the only server on dir. The lock is on a file of its own: backups and a sqlite3 shell may
// read the database while the server runs. The system releases it when the process dies, whatever the cause.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory %s cannot be written (%w): change its owner or choose another with --data-dir", dir, cause(err))
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		owner, _ := io.ReadAll(io.LimitReader(f, 20))
		return nil, errors.Join(fmt.Errorf("data directory %s is locked by another process (pid %s): stop that server or choose another directory with --data-dir",
			dir, orUnknown(strings.TrimSpace(string(owner)))), f.Close())
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock data directory %s: %w; choose a directory on a local disk with --data-dir", dir, err), f.Close())
	}
	return f, nil
}

func orUnknown(pid string) string {
	if pid == "" {
		return "unknown"
	}
	return pid
}
