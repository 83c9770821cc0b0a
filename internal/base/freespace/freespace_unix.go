//go:build linux || darwin

// Package freespace asks how much room a disk has.
package freespace

import "syscall"

// Of returns the bytes that this user may still write to the disk under dir. Not ok: unknown.
func Of(dir string) (bytes uint64, ok bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
