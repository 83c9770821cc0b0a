package sysfs

import (
	"context"
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// ScanEvery is how long a list of GPUs holds. One that vanished is missed at once.
const ScanEvery = 30 * time.Second

// Source is what a vendor's backend does in its own way.
type Source interface {
	// Find opens the GPUs below root. complete is false if one went while it was opened: then they are looked for anew at the
	// next reading.
	Find(root *Dir) (devices []Device, complete bool)
	// Begin comes before the GPUs of a reading, if there are any.
	Begin(ctx context.Context, root *Dir, now time.Time)
}

// Device is a GPU that a Source found.
type Device interface {
	// Address is the GPU's PCI address.
	Address() string
	// Gone reports whether it left /sys.
	Gone() bool
	// Read reads the GPU. What can't be read is absent.
	Read(now time.Time) gpu.Device
	// Close closes what is open of it.
	Close()
}

// Backend reads the GPUs of a Source.
type Backend struct {
	vendor, path string
	source       Source
	root         *Dir
	devices      []Device
	scanned      time.Time
	stale        bool // look for the GPUs again
}

var _ gpu.Backend = (*Backend)(nil)

// NewBackend makes a backend for a vendor's GPUs. path is where the machine's file system is mounted, "" for /. Nothing is
// opened before the first Read.
func NewBackend(vendor, path string, source Source) *Backend {
	return &Backend{vendor: vendor, path: path, source: source, stale: true}
}

// Vendor is the value of label vendor.
func (b *Backend) Vendor() string { return b.vendor }

// MinInterval is 0: attributes are cheap.
func (b *Backend) MinInterval() time.Duration { return 0 }

// Read reads all GPUs. GPUs that vanished since the last one are in the error, once.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	now := time.Now()
	if b.stale || now.Sub(b.scanned) >= ScanEvery {
		if err := b.scan(now); err != nil {
			return gpu.Reading{}, err
		}
	}
	if len(b.devices) == 0 {
		return gpu.Reading{}, gpu.ErrAbsent
	}
	b.source.Begin(ctx, b.root, now)
	var r gpu.Reading
	var gone error
	for _, c := range b.devices {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if c.Gone() {
			b.stale = true
			gone = fmt.Errorf("GPU %s is gone from /sys", c.Address())
			continue
		}
		r.Devices = append(r.Devices, c.Read(now))
	}
	return r, gone
}

// Close closes all that is open. A later Read opens it again.
func (b *Backend) Close() error {
	b.closeDevices()
	b.root.Close()
	b.root, b.stale = nil, true
	return nil
}

func (b *Backend) closeDevices() {
	for _, c := range b.devices {
		c.Close()
	}
	b.devices = nil
}

func (b *Backend) scan(now time.Time) error {
	if b.root == nil {
		root, err := Open(b.path)
		if err != nil {
			return err
		}
		b.root = root
	}
	b.closeDevices()
	devices, complete := b.source.Find(b.root)
	b.devices, b.scanned, b.stale = devices, now, !complete
	return nil
}
