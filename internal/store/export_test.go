package store

import "io/fs"

// Checkpoint is what Run does each minute.
var Checkpoint = (*Store).checkpoint

// WithMigrations makes options of a program with other migrations.
func (o Options) WithMigrations(files fs.FS) Options {
	o.migrations = files
	return o
}

// WithFreeSpace makes options under which the disk has so many bytes free.
func (o Options) WithFreeSpace(bytes uint64) Options {
	o.freeSpace = func(string) (uint64, bool) { return bytes, true }
	return o
}
