// Package amd reads AMD's cards from what the amdgpu driver and its compute part, KFD, tell in /sys.
//
// Choices, each where AMD's own tools leave one:
//   - The index is rocm-smi's: cards that KFD lists too, by PCI address, where each partition of a card counts. A partitioned
//     card stays one card, with the index of its first partition; its partitions are slices.
//   - The temperature is the junction's (the hot spot), which is also what the card is throttled by; without one the edge's.
//   - mem_busy_percent, how busy the memory's controllers are, is the DRAM activity.
//   - A power of 0 is none: the second die of an MI250 says so, because the first one measures for both.
//   - pcie_bw is never read: the driver measures for a second whenever somebody does.
//   - Graphics units with at most smallGraphics compute units and little memory of their own, which processors carry for a
//     screen, do not make a machine a GPU node and are left out.
package amd

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
	vendor   = "amd"
	vendorID = "0x1002"

	// scanEvery is how long a list of cards holds. One that vanished is missed at once.
	scanEvery = 30 * time.Second
	// rasEvery is the pause between two looks at error counters: each asks the card's firmware.
	rasEvery = 30 * time.Second
	// processesEvery is the pause between two looks at who holds memory.
	processesEvery = 5 * time.Second

	smallGraphics       = 4       // compute units
	smallGraphicsMemory = 4 << 30 // bytes
)

// Options configure the backend.
type Options struct {
	// Root is where the machine's file system is mounted; empty: /.
	Root   string
	Logger *slog.Logger // nil: silent
}

// Backend reads AMD's cards.
type Backend struct {
	o         Options
	root      *sysfs.Dir
	reader    *sysfs.Reader
	kfd       *kfd
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
	o.Logger = o.Logger.With(logging.KeyComponent, "gpu_amd")
	return &Backend{o: o, reader: sysfs.NewReader(), histories: map[string]*history{}, dirty: true}
}

// Vendor is amd.
func (b *Backend) Vendor() string { return vendor }

// MinInterval is 0: the attributes are cheap.
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
	b.kfd.readProcesses(b.reader, now)
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
		r.Devices = append(r.Devices, c.read(b.reader, b.kfd, now))
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
	found := sysfs.Cards(b.root, vendorID, "amdgpu")
	if len(found) == 0 {
		return nil
	}
	b.kfd = b.kfd.again(b.root)
	b.number(found)
	return nil
}

// number opens the cards and gives each its index. Cards that KFD doesn't know are none to AMD's tools, unless KFD knows none.
func (b *Backend) number(found []sysfs.Card) {
	names := readNames(b.root)
	driver := driverVersion(b.root)
	index := 0
	for _, f := range found {
		nodes := b.kfd.nodes[f.Location]
		if len(nodes) == 0 && len(b.kfd.nodes) > 0 {
			continue
		}
		at := index
		index += max(1, len(nodes))
		if b.histories[f.PCI] == nil {
			b.histories[f.PCI] = &history{}
		}
		c, err := openCard(b.root, f, nodes, b.histories[f.PCI], b.o.Logger)
		if err != nil {
			b.dirty = true // it went while it was opened
			continue
		}
		if c.small(b.reader) {
			c.close()
			continue
		}
		c.id = identity(b.root, f, names)
		c.id.Index, c.id.Driver = strconv.Itoa(at), driver
		c.slices(at, b.reader)
		b.cards = append(b.cards, c)
	}
}
