// Package iluvatar reads Iluvatar CoreX GPUs with the vendor's tool ixsmi: all from the XML form of its query, but for the
// index, which only its CSV form has.
package iluvatar

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	vendor = "iluvatar"
	tool   = "ixsmi"
)

// Options are what a Backend may be told.
type Options = smi.Options

// Backend reads the GPUs. It is used by one goroutine at a time.
type Backend struct {
	smi.Tool

	// indexes are the GPUs' indexes by UUID. They are asked for anew when a GPU is not among them.
	indexes map[string]string
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
	out, err := b.Run(ctx, "-q", "-x")
	var devices []gpu.Device
	if !none(out, err) {
		if err == nil {
			devices, err = readDevices(out)
		}
		if err != nil {
			return gpu.Reading{}, err
		}
	}
	if len(devices) == 0 {
		return gpu.Reading{}, b.NoDevices()
	}
	err = b.number(ctx, devices)
	numbered := slices.DeleteFunc(devices, func(d gpu.Device) bool { return d.Index == "" || d.Name == "" })
	if err == nil && len(numbered) < len(devices) {
		err = smi.Unrecognized(tool, "", "query, in which GPUs lack their UUID or name", fmt.Sprintf("%d of %d", len(devices)-len(numbered), len(devices)))
	}
	b.RecordDevices(numbered)
	return gpu.Reading{Devices: numbered}, err
}

// none says that the tool sees no GPU, which it counts as a failure (ixsmi of CoreX 4.5.0).
func none(out []byte, err error) bool {
	const noGPUs = "No supported GPUs found"
	return err != nil && strings.Contains(err.Error(), noGPUs) || strings.Contains(string(out[:min(len(out), 200)]), noGPUs)
}

// number sets the GPUs' indexes. If they cannot be asked for, those that are known hold.
func (b *Backend) number(ctx context.Context, devices []gpu.Device) error {
	var err error
	if slices.ContainsFunc(devices, func(d gpu.Device) bool { return d.UUID != "" && b.indexes[d.UUID] == "" }) {
		var out []byte
		var indexes map[string]string
		if out, err = b.Run(ctx, "--query-gpu=index,uuid", "--format=csv"); err == nil {
			indexes, err = readIndexes(out)
		}
		if err == nil || len(b.indexes) == 0 {
			b.indexes = indexes
		}
	}
	for i := range devices {
		devices[i].Index = b.indexes[devices[i].UUID]
	}
	return err
}
