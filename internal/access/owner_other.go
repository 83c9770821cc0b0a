//go:build !linux

package access

import "os"

func ownerOf(os.FileInfo) (uid uint32, ok bool) { return 0, false }

func mayUse(string) error { return nil }
