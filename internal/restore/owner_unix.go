//go:build unix

package restore

import (
	"os"
	"syscall"
)

// ownerIn returns who owns a file.
func ownerIn(info os.FileInfo) Owner {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return Owner{int(s.Uid), int(s.Gid)}
	}
	return Owner{os.Geteuid(), os.Getegid()}
}
