package sysfs

import (
	"context"
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// ScanEvery is how long a list of cards holds. One that vanished is missed at once.
const ScanEvery = 30 * time.Second

// Source is what a vendor's backend does in its own way.
type Source interface {
	// Find opens the cards below root. complete is false if one went while it was opened: then they are looked for anew at the
	// next reading.
	Find(root *Dir) (cards []Device, complete bool)
	// Begin comes before the cards of a reading, if there are any.
	Begin(ctx context.Context, root *Dir, now time.Time)
}

// Device is a card that a Source found.
type Device interface {
	// Address is the card's PCI address.
	Address() string
	// Gone reports whether it left /sys.
	Gone() bool
	// Read reads the card. What can't be read is absent.
	Read(now time.Time) gpu.Device
	// Close closes what is open of it.
	Close()
}

// Backend reads the cards of a Source.
type Backend struct {
	vendor, path string
	source       Source
	root         *Dir
	cards        []Device
	scanned      time.Time
	stale        bool // look for the cards again
}

var _ gpu.Backend = (*Backend)(nil)

// NewBackend makes a backend for a vendor's cards. path is where the machine's file system is mounted, "" for /. Nothing is
// opened before the first Read.
func NewBackend(vendor, path string, source Source) *Backend {
	return &Backend{vendor: vendor, path: path, source: source, stale: true}
}

// Vendor is the value of label vendor.
func (b *Backend) Vendor() string { return b.vendor }

// MinInterval is 0: attributes are cheap.
func (b *Backend) MinInterval() time.Duration { return 0 }

// Read reads all cards. Cards that vanished since the last one are in the error, once.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	now := time.Now()
	if b.stale || now.Sub(b.scanned) >= ScanEvery {
		if err := b.scan(now); err != nil {
			return gpu.Reading{}, err
		}
	}
	if len(b.cards) == 0 {
		return gpu.Reading{}, gpu.ErrAbsent
	}
	b.source.Begin(ctx, b.root, now)
	var r gpu.Reading
	var gone error
	for _, c := range b.cards {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if c.Gone() {
			b.stale = true
			gone = fmt.Errorf("card %s is gone from /sys", c.Address())
			continue
		}
		r.Devices = append(r.Devices, c.Read(now))
	}
	return r, gone
}

// Close closes all that is open. A later Read opens it again.
func (b *Backend) Close() error {
	b.closeCards()
	b.root.Close()
	b.root, b.stale = nil, true
	return nil
}

func (b *Backend) closeCards() {
	for _, c := range b.cards {
		c.Close()
	}
	b.cards = nil
}

func (b *Backend) scan(now time.Time) error {
	if b.root == nil {
		root, err := Open(b.path)
		if err != nil {
			return err
		}
		b.root = root
	}
	b.closeCards()
	cards, complete := b.source.Find(b.root)
	b.cards, b.scanned, b.stale = cards, now, !complete
	return nil
}
