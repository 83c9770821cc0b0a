// Package metax reads MetaX GPUs with mx-smi: the table that it prints without options, which has all in one run, and now and
// then `mx-smi -L` for the GPUs' UUIDs. Columns are found by their headers, of which there are several generations.
//
// A GPU's index is its number in the column GPU, which MACA_VISIBLE_DEVICES takes too; boards with several GPUs have a number
// for each. The utilization is GPU-Util, the share of time in which the GPU had work.
package metax

import (
	"context"
	"errors"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	vendor = "metax"
	tool   = "mx-smi"
	// slowly is the pause between two readings of what seldom changes.
	slowly = 10 * time.Minute
	// again is the pause before what failed of it is tried again.
	again = time.Minute
)

// Options are what a Backend may be told.
type Options = smi.Options

// Backend reads MetaX GPUs.
type Backend struct {
	smi.Tool

	due       time.Time         // of the next list
	uuids     map[string]string // by PCI address
	listFault error
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
	out, err := b.Run(ctx)
	if errors.Is(err, gpu.ErrAbsent) {
		return gpu.Reading{}, err
	}
	devices, fault := parseTable(out)
	if len(devices) == 0 {
		return gpu.Reading{}, b.NoDevices(err, fault)
	}
	if now := time.Now(); !now.Before(b.due) {
		b.due = now.Add(slowly)
		if b.listFault = b.list(ctx); b.listFault != nil {
			b.due = now.Add(again)
		}
	}
	for i := range devices {
		devices[i].UUID = b.uuids[devices[i].PCI]
	}
	b.RecordDevices(devices)
	return gpu.Reading{Devices: devices}, smi.Join(err, fault, b.listFault)
}

func (b *Backend) list(ctx context.Context) error {
	out, err := b.Run(ctx, "-L")
	if err != nil {
		return err
	}
	uuids, err := parseList(out)
	if len(uuids) > 0 {
		b.uuids = uuids
	}
	return err
}
