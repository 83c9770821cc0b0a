// Package intel reads Intel's discrete cards from what the i915 and xe drivers tell in /sys, and from what they tell of each
// process in /proc/<pid>/fdinfo.
//
// Choices:
//   - The graphics units of processors have no memory of their own and do not make a machine a GPU node: they are left out.
//   - The index is a card's place among the discrete cards by PCI address, which is how xpu-smi numbers them.
//   - Neither driver tells a card's power in /sys: it is the energy between two readings. On cards that count the energy of
//     the whole board as 0, the one of the chip stands for it.
//   - Neither tells how busy a card is, or how much of its memory is in use: both follow from the processes that have it open,
//     and stay absent if some processes may not be looked at. How much memory a card has only some versions of i915 tell.
//   - The card's own PCIe link is the one to a switch on the card; what is told is the link of that switch to the slot.
package intel

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

const (
	vendor   = "intel"
	vendorID = "0x8086"

	// scanEvery is how long a list of cards holds. One that vanished is missed at once.
	scanEvery = 30 * time.Second
	// integrated is where processors have their graphics unit.
	integrated = "0000:00:02.0"
)

// Options configure the backend.
type Options struct {
	// Root is where the machine's file system is mounted; empty: /.
	Root   string
	Logger *slog.Logger // nil: silent
}

// Backend reads Intel's cards.
type Backend struct {
	o         Options
	root      *sysfs.Dir
	reader    *sysfs.Reader
	clients   *clients
	cards     []*card
	histories map[string]*history // by PCI address
	scanned   time.Time
	dirty     bool // a card is gone: look again
}

var _ gpu.Backend = (*Backend)(nil)

// New makes a backend. Nothing is opened before the first Read.
func New(o Options) *Backend {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With(logging.KeyComponent, "gpu_intel")
	return &Backend{o: o, reader: sysfs.NewReader(), clients: newClients(), histories: map[string]*history{}, dirty: true}
}

// Vendor is intel.
func (b *Backend) Vendor() string { return vendor }

// MinInterval is 0: the attributes are cheap, and processes are looked at more rarely.
func (b *Backend) MinInterval() time.Duration { return 0 }

// Read reads all cards. Cards that vanished since the last one are in the error, once.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	now := time.Now()
	if b.dirty || now.Sub(b.scanned) >= scanEvery {
		if err := b.scan(now); err != nil {
			return gpu.Reading{}, err
		}
	}
	if len(b.cards) == 0 {
		return gpu.Reading{}, gpu.ErrAbsent
	}
	if b.clients.refresh(ctx, b.root, b.reader, now) {
		b.o.Logger.Info("processes of other users cannot be looked at: use and memory of cards stay unknown")
	}
	var r gpu.Reading
	var gone error
	for _, c := range b.cards {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if !c.device.Has("vendor") {
			b.dirty = true
			gone = fmt.Errorf("card %s is gone from /sys", c.PCI)
			continue
		}
		r.Devices = append(r.Devices, c.read(b.reader, b.clients.of(c.PCI), now))
	}
	return r, gone
}

// Close closes all attributes.
func (b *Backend) Close() error {
	b.closeCards()
	b.root.Close()
	b.root, b.dirty = nil, true
	return nil
}

func (b *Backend) closeCards() {
	for _, c := range b.cards {
		c.close()
	}
	b.cards = nil
}

// scan looks for the cards.
func (b *Backend) scan(now time.Time) error {
	if b.root == nil {
		root, err := sysfs.Open(b.o.Root)
		if err != nil {
			return err
		}
		b.root = root
	}
	b.closeCards()
	b.scanned, b.dirty = now, false
	index := 0
	for _, f := range sysfs.Cards(b.root, vendorID, "i915", "xe") {
		if !discrete(b.root, f) {
			continue
		}
		if b.histories[f.PCI] == nil {
			b.histories[f.PCI] = &history{}
		}
		c, err := openCard(b.root, b.reader, f, b.histories[f.PCI])
		if err != nil {
			b.dirty = true // it went while it was opened
			continue
		}
		c.id = identity(b.root, f)
		c.id.Index = strconv.Itoa(index)
		index++
		b.cards = append(b.cards, c)
	}
	return nil
}

// discrete reports whether a card is one, and not a processor's graphics unit. In a virtual machine a card may stand in the
// same place.
func discrete(root *sysfs.Dir, f sysfs.Card) bool {
	return f.PCI != integrated || root.Has(f.Path+"/lmem_total_bytes") || root.Has(f.Path+"/device/vram_d3cold_threshold")
}
