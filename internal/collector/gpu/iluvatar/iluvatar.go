// Package iluvatar reads Iluvatar CoreX cards with the vendor's tool ixsmi: all from the XML form of its query, but for the
// index, which only its CSV form has.
package iluvatar

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
	vendor = "iluvatar"
	tool   = "ixsmi"
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
	// indexes are the cards' indexes by UUID. They are asked for anew when a card is not among them.
	indexes map[string]string
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
	out, err := b.run(ctx, tool, "-q", "-x")
	if err != nil {
		return gpu.Reading{}, b.absent(err)
	}
	cards, err := readCards(out)
	if err != nil {
		return gpu.Reading{}, err
	}
	if len(cards) == 0 {
		return gpu.Reading{}, b.absent(fmt.Errorf("%s: %s", tool, noCards))
	}
	if err := b.number(ctx, cards); err != nil {
		return gpu.Reading{}, err
	}
	numbered := slices.DeleteFunc(cards, func(d gpu.Device) bool { return d.Index == "" || d.Name == "" })
	if len(numbered) < len(cards) {
		err = smi.Unrecognized(tool, "", "query, in which cards lack their UUID or name", fmt.Sprintf("%d of %d", len(cards)-len(numbered), len(cards)))
	}
	if !b.seen && len(numbered) > 0 {
		b.seen = true
		b.logger.Info("cards found", "tool", tool, "driver", numbered[0].Driver, "cards", len(numbered))
	}
	return gpu.Reading{Devices: numbered}, err
}

// noCards is what the tool prints where it sees none (ixsmi of CoreX 4.5.0).
const noCards = "No supported GPUs found"

// absent makes gpu.ErrAbsent of the error about a machine without cards, unless there were some before.
func (b *Backend) absent(err error) error {
	if !b.seen && strings.Contains(err.Error(), noCards) {
		return fmt.Errorf("%w: %w", err, gpu.ErrAbsent)
	}
	return err
}

// number sets the cards' indexes.
func (b *Backend) number(ctx context.Context, cards []gpu.Device) error {
	if slices.ContainsFunc(cards, func(d gpu.Device) bool { return d.UUID != "" && b.indexes[d.UUID] == "" }) {
		out, err := b.run(ctx, tool, "--query-gpu=index,uuid", "--format=csv")
		if err != nil {
			return err
		}
		b.indexes, err = readIndexes(out)
		if err != nil {
			return err
		}
	}
	for i := range cards {
		cards[i].Index = b.indexes[cards[i].UUID]
	}
	return nil
}
