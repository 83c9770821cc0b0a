// Package mthreads reads Moore Threads GPUs with the vendor's tool mthreads-gmi: the GPUs from the JSON form of its query,
// the processes from the table that it prints without arguments, the only form in which it has them.
package mthreads

import (
	"context"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	vendor = "mthreads"
	tool   = "mthreads-gmi"
)

// Options are what a Backend may be told.
type Options = smi.Options

// Backend reads the GPUs. It is used by one goroutine at a time.
type Backend struct {
	smi.Tool
}

var _ gpu.Backend = (*Backend)(nil)

// New returns a Backend. It runs nothing yet.
func New(o Options) *Backend {
	return &Backend{Tool: smi.NewTool(vendor, tool, o)}
}

// Read implements gpu.Backend. It runs the tool twice.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, smi.Budget)
	defer cancel()
	out, err := b.Run(ctx, "-q", "--json")
	if err != nil {
		return gpu.Reading{}, err
	}
	devices, err := readDevices(out)
	if len(devices) == 0 {
		return gpu.Reading{}, b.NoDevices(err)
	}
	b.RecordDevices(devices)
	table, tableErr := b.Run(ctx)
	if tableErr == nil {
		tableErr = addProcesses(devices, table)
	}
	return gpu.Reading{Devices: devices}, smi.Join(err, tableErr)
}
