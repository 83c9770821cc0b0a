//go:build unix

package inbound

import "syscall"

// Files returns how many files, connections included, this process may have open; 0 if unknown.
func Files() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	const plenty = 1 << 30 // "unlimited" does not fit an int everywhere
	return int(min(l.Cur, plenty))
}
