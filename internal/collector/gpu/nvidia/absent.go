//go:build !(linux && cgo)

package nvidia

import (
	"context"
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

var _ gpu.Backend = (*Backend)(nil)

// Backend stands in for the one that reads GPUs.
type Backend struct{}

// New makes a Backend that finds no GPUs, since this build cannot call the driver's library.
func New(Options) *Backend { return &Backend{} }

// Vendor returns the value of label vendor.
func (*Backend) Vendor() string { return vendor }

// MinInterval returns 0: there is nothing to spare.
func (*Backend) MinInterval() time.Duration { return 0 }

// Read returns gpu.ErrAbsent.
func (*Backend) Read(context.Context) (gpu.Reading, error) {
	return gpu.Reading{}, fmt.Errorf("NVIDIA GPUs cannot be read by a program that was built without cgo or for another system than Linux: install a build with cgo where there are some: %w", gpu.ErrAbsent)
}

// Close does nothing.
func (*Backend) Close() error { return nil }
