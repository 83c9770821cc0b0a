//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package dirlock

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// take locks the file at path. One that was removed meanwhile, by a process that abandoned its lock, is none. A link is not followed: root
// may lock a directory of another user, who must not choose which file the number is written into.
func take(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := lock(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		mine, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if there, err := os.Stat(path); err == nil && os.SameFile(mine, there) {
			return f, note(f)
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		owner, _ := io.ReadAll(io.LimitReader(f, 20))
		return &heldError{cmp.Or(strings.TrimSpace(string(owner)), "unknown")}
	}
	return fmt.Errorf("%w: %w", ErrUnsupported, err)
}

// note writes this process into the file, for whoever finds it locked. A full disk is no reason not to start.
func note(f *os.File) error {
	text := []byte(strconv.Itoa(os.Getpid()) + "\n")
	_, err := f.WriteAt(text, 0) // over what is there, which needs no room
	if err == nil {
		err = f.Truncate(int64(len(text)))
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return errors.Join(err, f.Close())
	}
	return nil
}
