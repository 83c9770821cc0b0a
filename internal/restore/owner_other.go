//go:build !unix

package restore

import "os"

// ownerOf returns who owns a file; it is not known here.
func ownerOf(string) (uid, gid int, err error) { return os.Geteuid(), os.Getegid(), nil }
