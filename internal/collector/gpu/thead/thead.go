// Package thead reads T-Head PPU cards with the vendor's tool ppu-smi: the outline of its query for all but the index, which
// stands in its list alone, and the tables about MIG devices where there are some.
package thead

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	vendor = "thead"
	tool   = "ppu-smi"
)

// Options configures a Backend.
type Options struct {
	Run    smi.Runner   // runs the tool; nil: smi.Run
	Logger *slog.Logger // nil: nothing is logged
}

// Backend reads the cards. It is used by one goroutine at a time.
type Backend struct {
	run    smi.Runner
	logger *slog.Logger
	// seen says that a reading had cards: from then on a tool that shows none is no machine without cards.
	seen bool
	// list is what the tool last listed. It is asked for anew when a card is not in it, and for MIG devices.
	list listing
}

var _ gpu.Backend = (*Backend)(nil)

// New returns a Backend. It runs nothing yet.
func New(o Options) *Backend {
	if o.Run == nil {
		o.Run = smi.Run
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Backend{run: o.Run, logger: o.Logger.With(logging.KeyComponent, "gpu_"+vendor)}
}

// Vendor implements gpu.Backend.
func (*Backend) Vendor() string { return vendor }

// MinInterval implements gpu.Backend.
func (*Backend) MinInterval() time.Duration { return smi.Interval }

// Close implements gpu.Backend.
func (*Backend) Close() error { return nil }

// Read implements gpu.Backend.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	out, err := b.run(ctx, tool, "-q")
	if err != nil {
		return gpu.Reading{}, b.absent(err)
	}
	cards, faults := readCards(out)
	if len(cards) == 0 {
		if faults == nil && !b.seen {
			faults = fmt.Errorf("%s shows no card: %w", tool, gpu.ErrAbsent)
		}
		return gpu.Reading{}, faults
	}
	split := slices.ContainsFunc(cards, func(c card) bool { return c.split })
	if split || slices.ContainsFunc(cards, func(c card) bool { return b.list.indexes[c.UUID] == "" }) {
		if out, err = b.run(ctx, tool, "-L"); err != nil {
			return gpu.Reading{}, both(faults, err)
		}
		if b.list, err = readList(out); err != nil {
			return gpu.Reading{}, both(faults, err)
		}
	}
	devices := make([]gpu.Device, 0, len(cards))
	for _, c := range cards {
		if c.Index = b.list.indexes[c.UUID]; c.Index == "" {
			faults = both(faults, smi.Unrecognized(tool, "", "list of PPUs, which lacks a UUID of the query", c.UUID))
			continue
		}
		devices = append(devices, c.Device)
	}
	if split {
		faults = both(faults, b.addSlices(ctx, devices))
	}
	for i := range devices {
		nameSlices(&devices[i])
	}
	if !b.seen && len(devices) > 0 {
		b.seen = true
		b.logger.Info("cards found", "tool", tool, "driver", devices[0].Driver, "cards", len(devices))
	}
	return gpu.Reading{Devices: devices}, faults
}

// notLoaded is what the tool says on a machine with its software but without its driver.
const notLoaded = "driver is not loaded"

// absent makes gpu.ErrAbsent of the error about a machine without the driver, unless there were cards before.
func (b *Backend) absent(err error) error {
	if !b.seen && strings.Contains(err.Error(), notLoaded) {
		return fmt.Errorf("%w: %w", err, gpu.ErrAbsent)
	}
	return err
}

// both joins two errors, each of which may be nil, in one line.
func both(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}
