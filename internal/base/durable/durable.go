// Package durable writes files that survive a crash: after WriteFile returns, the file holds either the old or the new
// content, also when the machine loses power.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces the file at path with data. It writes a temporary file in the same directory, syncs it, renames it
// over path and syncs the directory.
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, Cause(err))
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, Cause(err)) // the temporary file's name says nothing to anybody
		}
	}()
	if err := writeSynced(f, data, perm); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

func writeSynced(f *os.File, data []byte, perm fs.FileMode) error {
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// SyncDir writes to the disk which files a directory has.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MkdirAll makes a private directory for data and says what to do when it cannot. flag is the flag by which the user chooses path.
func MkdirAll(path, flag string) error {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return fmt.Errorf("data directory %s cannot be made (%w): choose a directory that you may write to with %s", path, Cause(err), flag)
	}
	probe, err := os.CreateTemp(path, ".writable.*")
	if err != nil {
		return fmt.Errorf("data directory %s is not writable (%w): choose another with %s or change its owner", path, Cause(err), flag)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// Cause is the reason of an error about a file, without the path, which whoever calls names.
func Cause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err
	}
	return err
}
