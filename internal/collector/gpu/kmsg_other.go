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
	report   func(error)
}

func (k *kernelLog) run(context.Context) {
	k.report(nil)
	k.registry.kernelLogCaughtUp()
}
