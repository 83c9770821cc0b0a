// Package ascend reads Huawei Ascend NPUs with npu-smi. The table of `npu-smi info` is read each time; what costs a
// run for each NPU (error counts, health, clocks, links ...) is read in turn, a few runs at a time.
//
// An NPU's index is its NPU ID. An NPU with several chips is several devices, told apart by the chip's ID: two on an Atlas
// 300I Duo (310P) and on an A3 (910C). The utilization is the column AICore(%), on later chips NPU Util(%): the share of time
// in which the AI cores had work. Memory is the HBM of chips that have it, the DDR of others. An NPU whose power is measured
// as a whole has it on its first chip, as npu-smi itself shows it.
package ascend

import (
	"context"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	vendor = "ascend"
	tool   = "npu-smi"
	// maxEvents bounds the events that wait for Watch.
	maxEvents = 256
)

// Options are what a Backend may be told.
type Options = smi.Options

// Backend reads Ascend NPUs. It is a gpu.Watcher: error codes that appear in an NPU's health become events.
type Backend struct {
	smi.Tool

	details details
	events  chan gpu.Event
	lost    int // events that found no room
}

var _ gpu.Watcher = (*Backend)(nil)

// New returns a Backend. It runs nothing yet.
func New(o Options) *Backend {
	return &Backend{Tool: smi.NewTool(vendor, tool, o), events: make(chan gpu.Event, maxEvents)}
}

// Read implements gpu.Backend.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, smi.Budget)
	defer cancel()
	out, err := b.Run(ctx, "info")
	if err != nil && len(out) == 0 {
		return gpu.Reading{}, err
	}
	info, faults := parseInfo(out)
	if len(info.chips) == 0 {
		return gpu.Reading{}, b.NoDevices(err, faults)
	}
	b.details.refresh(ctx, b.Run, info.tool, info.chips)
	r := gpu.Reading{Devices: make([]gpu.Device, 0, len(info.chips))}
	for i := range info.chips {
		c := &info.chips[i]
		c.device.Driver = info.driver
		c.device.Processes, c.device.ProcessesKnown = info.processesOf(c)
		if !c.device.Lost {
			b.details.apply(c, first(info.chips, c.npu) == i)
		}
		r.Devices = append(r.Devices, c.device)
	}
	b.RecordDevices(r.Devices)
	b.announce(b.details.takeEvents())
	return r, smi.Join(err, faults, b.details.fault())
}

// Watch implements gpu.Watcher.
func (b *Backend) Watch(ctx context.Context, report func(gpu.Event)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-b.events:
			report(e)
		}
	}
}

// announce hands events over to Watch; it must not wait for it.
func (b *Backend) announce(events []gpu.Event) {
	for _, e := range events {
		select {
		case b.events <- e:
		default:
			if b.lost++; b.lost == 1 {
				b.Logger.Warn("too many error codes at once, some are not counted", "code", e.Code, "uuid", e.UUID)
			}
		}
	}
}

// first is the position of an NPU's first chip.
func first(chips []chip, npu string) int {
	for i := range chips {
		if chips[i].npu == npu {
			return i
		}
	}
	return -1
}
