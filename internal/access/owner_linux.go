package access

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownerOf returns the user of a file.
func ownerOf(info os.FileInfo) (uid uint32, ok bool) {
	status, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return status.Uid, true
}

// mayUse reports whether the process may read and write a file, without opening it: opening the file of a GPU may start the GPU.
func mayUse(path string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK|unix.W_OK, unix.AT_EACCESS); err != nil {
		return &os.PathError{Op: "access", Path: path, Err: err}
	}
	return nil
}
