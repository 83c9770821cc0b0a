//go:build !linux && !darwin

// Package freespace asks how much room a disk has.
package freespace

// Of returns the bytes that this user may still write to the disk under dir. Not ok: unknown.
func Of(string) (bytes uint64, ok bool) { return 0, false }
