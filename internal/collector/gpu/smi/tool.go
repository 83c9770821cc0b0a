package smi

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// Options are what a backend that runs a tool may be told.
type Options struct {
	Run    Runner       // nil: Run
	Logger *slog.Logger // nil: silent
}

// Tool is what all backends that run a tool have in common. They embed it and add gpu.Backend's Read.
type Tool struct {
	Logger       *slog.Logger
	vendor, name string
	run          Runner
	seen         bool
}

// NewTool makes the Tool of a vendor, with the name of its program. It runs nothing yet.
func NewTool(vendor, name string, o Options) Tool {
	if o.Run == nil {
		o.Run = Run
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return Tool{Logger: o.Logger.With(logging.KeyComponent, "gpu_"+vendor), vendor: vendor, name: name, run: o.Run}
}

// Run runs the tool.
func (t *Tool) Run(ctx context.Context, args ...string) ([]byte, error) {
	return t.run(ctx, t.name, args...)
}

// Vendor implements gpu.Backend.
func (t *Tool) Vendor() string { return t.vendor }

// MinInterval implements gpu.Backend.
func (*Tool) MinInterval() time.Duration { return Interval }

// Close implements gpu.Backend.
func (*Tool) Close() error { return nil }

// See takes note of the GPUs of a reading: from then on a tool that shows none is no machine without GPUs.
func (t *Tool) See(devices []gpu.Device) {
	if !t.seen && len(devices) > 0 {
		t.seen = true
		t.Logger.Info("GPUs found", "tool", t.name, "driver", devices[0].Driver, "gpus", len(devices))
	}
}

// Seen says that an earlier reading had GPUs.
func (t *Tool) Seen() bool { return t.seen }

// None is the error about a tool that shows no GPUs, which is none if it had some: then they are lost.
func (t *Tool) None() error {
	if t.seen {
		return nil
	}
	return fmt.Errorf("%s shows no GPU: %w", t.name, gpu.ErrAbsent)
}
