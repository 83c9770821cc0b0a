//go:build unix

package restore

import (
	"os"
	"syscall"
)

// ownerOf returns who owns a file.
func ownerOf(path string) (uid, gid int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid), nil
	}
	return os.Geteuid(), os.Getegid(), nil
}
