// Package thead reads T-Head PPUs with the vendor's tool ppu-smi: the outline of its query for all but the index, which
// stands in its list alone, and the tables about MIG devices where there are some.
package thead

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	vendor = "thead"
	tool   = "ppu-smi"
)

// Options are what a Backend may be told.
type Options = smi.Options

// Backend reads the PPUs. It is used by one goroutine at a time.
type Backend struct {
	smi.Tool

	// list is what the tool last listed. It is asked for anew when a PPU is not in it, and for MIG devices.
	list listing
}

var _ gpu.Backend = (*Backend)(nil)

// New returns a Backend. It runs nothing yet.
func New(o Options) *Backend {
	return &Backend{Tool: smi.NewTool(vendor, tool, o)}
}

// Read implements gpu.Backend.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, smi.Budget)
	defer cancel()
	out, err := b.Run(ctx, "-q")
	if err != nil {
		return gpu.Reading{}, b.absent(err)
	}
	ppus, err := readPPUs(out)
	if len(ppus) == 0 {
		return gpu.Reading{}, b.NoDevices(err)
	}
	var faults smi.Faults
	faults.Add(err)
	split := slices.ContainsFunc(ppus, func(c device) bool { return c.split })
	var listFault error
	if split || slices.ContainsFunc(ppus, func(c device) bool { return b.list.indexes[c.UUID] == "" }) {
		listFault = b.relist(ctx)
		faults.Add(listFault)
	}
	devices := make([]gpu.Device, 0, len(ppus))
	for _, c := range ppus {
		if c.Index = b.list.indexes[c.UUID]; c.Index != "" {
			devices = append(devices, c.Device)
		} else if listFault == nil {
			faults.Add(smi.Unrecognized(tool, "", "list of PPUs, which lacks a UUID of the query", c.UUID))
		}
	}
	if split && len(devices) > 0 {
		faults.Add(b.addSlices(ctx, devices))
	}
	for i := range devices {
		nameSlices(&devices[i])
	}
	b.RecordDevices(devices)
	return gpu.Reading{Devices: devices}, faults.Err()
}

// relist asks for the list anew. If that fails, what it said before holds: PPUs keep their index.
func (b *Backend) relist(ctx context.Context) error {
	out, err := b.Run(ctx, "-L")
	if err != nil {
		return err
	}
	list, err := readList(out)
	if err == nil {
		b.list = list
	}
	return err
}

// notLoaded is what the tool says on a machine with its software but without its driver.
const notLoaded = "driver is not loaded"

// absent makes gpu.ErrAbsent of the error about a machine without the driver, unless there were PPUs before.
func (b *Backend) absent(err error) error {
	if !b.HadDevices() && strings.Contains(err.Error(), notLoaded) {
		return fmt.Errorf("%w: %w", err, gpu.ErrAbsent)
	}
	return err
}
