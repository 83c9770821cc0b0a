// Package gpu reads the cards of a worker's machine, whoever made them, and turns them into one vocabulary. Each vendor has a
// sub-package with a Backend. Cards are sampled on timers and served from memory, so that a driver that hangs costs its own
// cards' families and nothing else.
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

// Backend reads the cards of one vendor. It takes no lock that a hanging call would hold for others.
type Backend interface {
	// Vendor is the value of label vendor: nvidia, amd, ascend, intel, hygon, metax, mthreads, iluvatar, cambricon, thead.
	Vendor() string
	// MinInterval is the shortest pause between two readings that the driver or tool bears; 0: any.
	MinInterval() time.Duration
	// Read reads all cards. It is called by one goroutine at a time, and not again before it has returned; it may hang in a
	// driver for ever. The first call opens what has to be opened, once. What could be read is returned beside an error
	// about the rest: a card or value that cannot be read never costs another. Without a driver, tool or card of the vendor
	// the error is ErrAbsent. The backend does not touch what it returned again.
	Read(ctx context.Context) (Reading, error)
	// Close lets go of the driver. It is not called while Read runs.
	Close() error
}

// Watcher is a Backend whose driver reports events as they come.
type Watcher interface {
	Backend
	// Watch calls report for each event until ctx ends. It is called once, after the first Read that succeeded, beside later
	// Reads. An error ends it for good.
	Watch(ctx context.Context, report func(Event)) error
}

// ErrAbsent says that this machine has no cards of the vendor, or nothing to read them with.
var ErrAbsent = errors.New("no such cards or driver on this machine")

// ErrHangs is what a Read wraps that gave up waiting for a driver or tool. It counts as a Read that does not return.
var ErrHangs = errors.New("the driver or tool does not answer")
