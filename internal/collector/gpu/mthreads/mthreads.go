// Package mthreads reads Moore Threads cards with the vendor's tool mthreads-gmi: the cards from the JSON form of its query,
// the processes from the table that it prints without arguments, the only form in which it has them.
package mthreads

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
	vendor = "mthreads"
	tool   = "mthreads-gmi"
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

// Read implements gpu.Backend. It runs the tool twice.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	out, err := b.run(ctx, tool, "-q", "--json")
	if err != nil {
		return gpu.Reading{}, err
	}
	cards, err := readCards(out)
	if len(cards) == 0 {
		if err == nil && !b.seen {
			err = fmt.Errorf("%s shows no card: %w", tool, gpu.ErrAbsent)
		}
		return gpu.Reading{}, err
	}
	if !b.seen {
		b.seen = true
		b.logger.Info("cards found", "tool", tool, "driver", cards[0].Driver, "cards", len(cards))
	}
	table, tableErr := b.run(ctx, tool)
	if tableErr == nil {
		tableErr = addProcesses(cards, table)
	}
	return gpu.Reading{Devices: cards}, both(err, tableErr)
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
