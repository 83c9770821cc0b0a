// Package cambricon reads Cambricon MLU cards with the vendor's tool cnmon, from the outline that cnmon info prints: its JSON
// form goes to a file in the working directory, which a worker must not write to.
package cambricon

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	vendor = "cambricon"
	tool   = "cnmon"
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
	seen   bool // that a reading had cards was logged
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
	out, err := b.run(ctx, tool, "info")
	if err != nil {
		return gpu.Reading{}, err
	}
	cards, err := readCards(out)
	if !b.seen && len(cards) > 0 {
		b.seen = true
		b.logger.Info("cards found", "tool", tool, "driver", cards[0].Driver, "cards", len(cards))
	}
	return gpu.Reading{Devices: cards}, err
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
