// Package gpu samples the GPUs and other accelerators of a worker's machine and exports them under one set of metric names.
// Each vendor has a sub-package with a Backend. Backends are read on timers and metrics are served from memory, so a driver
// that hangs costs only the metrics of its own GPUs.
package gpu

import (
	"context"
	"errors"
	"time"
)

// Reading is what a backend found at one moment.
type Reading struct {
	Devices []Device
}

// Backend reads the GPUs of one vendor. It must not hold a lock that other callers need while it calls the driver, since that call may hang.
type Backend interface {
	// Vendor is the value of label vendor: nvidia, amd, ascend, intel, hygon, metax, mthreads, iluvatar, cambricon, thead.
	Vendor() string
	// MinInterval is the shortest pause between two readings that the driver or tool supports; 0: any.
	MinInterval() time.Duration
	// Read reads all GPUs. It is called by one goroutine at a time, and not again before it has returned; it may hang in a
	// driver for ever. The first call opens the library or files. A partial result is returned together with an error about
	// the rest: a GPU or value that cannot be read never hides another. Without a driver, tool or GPU of the vendor the
	// error is ErrAbsent. The backend must not change a Reading after returning it.
	Read(ctx context.Context) (Reading, error)
	// Close releases the driver. It is not called while Read runs.
	Close() error
}

// Watcher is a Backend whose driver reports events as they come.
type Watcher interface {
	Backend
	// Watch calls report for each event until ctx ends. It is called once, after the first Read that succeeded, beside later
	// Reads. An error ends it for good.
	Watch(ctx context.Context, report func(Event)) error
}

// ErrAbsent says that this machine has no GPUs of the vendor, or nothing to read them with.
var ErrAbsent = errors.New("no such GPUs or driver on this machine")

// ErrHangs is wrapped by a Read that stopped waiting for a driver or tool. It counts like a Read that does not return.
var ErrHangs = errors.New("the driver or tool does not answer")
