package smi

import (
	"cmp"
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
	hadDevices   bool
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

// RecordDevices notes the GPUs of a reading. From the first GPU on, NoDevices takes a reading without GPUs as GPUs that are lost.
func (t *Tool) RecordDevices(devices []gpu.Device) {
	if !t.hadDevices && len(devices) > 0 {
		t.hadDevices = true
		t.Logger.Info("GPUs found", "tool", t.name, "driver", devices[0].Driver, "gpus", len(devices))
	}
}

// HadDevices reports whether an earlier reading had GPUs.
func (t *Tool) HadDevices() bool { return t.hadDevices }

// NoDevices returns the error of a reading without GPUs: the first of errs that is not nil. Without one it is gpu.ErrAbsent, or
// nil if an earlier reading had GPUs: they are lost.
func (t *Tool) NoDevices(errs ...error) error {
	if err := cmp.Or(errs...); err != nil || t.hadDevices {
		return err
	}
	return fmt.Errorf("%s shows no GPU: %w", t.name, gpu.ErrAbsent)
}
