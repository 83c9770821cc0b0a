//go:build !linux

package gpu

import (
	"context"
	"log/slog"
)

// kernelLog is of Linux: elsewhere only what drivers report is counted.
type kernelLog struct {
	root     string
	registry *registry
	logger   *slog.Logger
}

func (k *kernelLog) run(context.Context) { k.registry.kernelLogCaughtUp() }
