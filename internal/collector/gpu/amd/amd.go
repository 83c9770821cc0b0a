// Package amd reads AMD's GPUs from what the amdgpu driver and its compute part, KFD, tell in /sys.
//
// Choices, each where AMD's own tools leave one:
//   - The index is rocm-smi's: GPUs that KFD lists too, by PCI address, where each partition of a GPU counts. A partitioned
//     GPU stays one GPU, with the index of its first partition; its partitions are slices.
//   - The temperature is the junction's (the hot spot), which is also what the GPU is throttled by; without one the edge's.
//   - mem_busy_percent, how busy the memory's controllers are, is the DRAM activity.
//   - A power of 0 is none: the second die of an MI250 says so, because the first one measures for both.
//   - Of a GPU that sleeps nothing is read that would wake it.
//   - pcie_bw is never read: the driver measures for a second whenever somebody does.
//   - Graphics units with at most smallGraphics compute units and little memory of their own, which processors carry for a
//     screen, do not make a machine a GPU node and are left out.
package amd

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

const (
	vendor   = "amd"
	vendorID = "0x1002"

	// rasEvery is the pause between two looks at error counters: each asks the GPU's firmware.
	rasEvery = 30 * time.Second
	// processesEvery is the pause between two looks at who holds memory.
	processesEvery = 5 * time.Second

	smallGraphics       = 4       // compute units
	smallGraphicsMemory = 4 << 30 // bytes
)

// Options configure the backend.
type Options struct {
	// Root is where the machine's file system is mounted; empty: /.
	Root   string
	Logger *slog.Logger // nil: silent
}

// source finds AMD's GPUs.
type source struct {
	logger    *slog.Logger
	reader    *sysfs.Reader
	kfd       *kfd
	histories map[string]*history // by PCI address
}

// New makes a backend. Nothing is opened before the first Read.
func New(o Options) *sysfs.Backend {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return sysfs.NewBackend(vendor, o.Root, &source{
		logger: o.Logger.With(logging.KeyComponent, "gpu_amd"), reader: sysfs.NewReader(), histories: map[string]*history{},
	})
}

// Find opens the GPUs and gives each its index. GPUs that KFD doesn't know are none to AMD's tools, unless KFD knows none.
func (s *source) Find(root *sysfs.Dir) (devices []sysfs.Device, complete bool) {
	found := sysfs.PCIDevices(root, vendorID, "amdgpu")
	if len(found) == 0 {
		return nil, true
	}
	s.kfd = s.kfd.again(root, found)
	names, driver := readNames(root), driverVersion(root)
	complete = true
	index := 0
	for _, f := range found {
		nodes := s.kfd.nodes[f.Location]
		if len(nodes) == 0 && len(s.kfd.nodes) > 0 {
			continue
		}
		at := index
		index += max(1, len(nodes))
		if s.histories[f.PCI] == nil {
			s.histories[f.PCI] = &history{}
		}
		c, err := s.openDevice(root, f, nodes)
		if err != nil {
			complete = false // it went while it was opened
			continue
		}
		if c.small() {
			c.Close()
			continue
		}
		c.id = identity(root, f, names)
		c.id.Index, c.id.Driver = strconv.Itoa(at), driver
		c.slices(at)
		devices = append(devices, c)
	}
	return devices, complete
}

// Begin looks at processes, now and then.
func (s *source) Begin(_ context.Context, _ *sysfs.Dir, now time.Time) {
	s.kfd.readProcesses(s.reader, now)
}
