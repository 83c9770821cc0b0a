// Package cambricon reads Cambricon MLUs with the vendor's tool cnmon, from the outline that cnmon info prints: its JSON
// form goes to a file in the working directory, which a worker must not write to.
package cambricon

import (
	"context"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	vendor = "cambricon"
	tool   = "cnmon"
)

// Options are what a Backend may be told.
type Options = smi.Options

// Backend reads the MLUs. It is used by one goroutine at a time.
type Backend struct {
	smi.Tool
}

var _ gpu.Backend = (*Backend)(nil)

// New returns a Backend. It runs nothing yet.
func New(o Options) *Backend {
	return &Backend{Tool: smi.NewTool(vendor, tool, o)}
}

// Read implements gpu.Backend.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	out, err := b.Run(ctx, "info")
	if err != nil {
		return gpu.Reading{}, err
	}
	devices, err := readDevices(out)
	b.RecordDevices(devices)
	return gpu.Reading{Devices: devices}, err
}
