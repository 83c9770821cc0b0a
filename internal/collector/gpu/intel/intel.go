// Package intel reads Intel's discrete GPUs from the files of the i915 and xe drivers in /sys, and the use of each process from
// /proc/<pid>/fdinfo.
//
// Choices:
//   - Integrated GPUs are not exported: they have no memory of their own and do not make a machine a GPU node.
//   - The index is a GPU's position among the discrete GPUs by PCI address, as in xpu-smi.
//   - The drivers do not report power in /sys. It is computed from the energy between two readings. If the energy counter of the board
//     stays 0, the counter of the chip is used.
//   - The drivers do not report utilization and used memory. Both are summed over the processes that have the GPU open. They are absent
//     if the worker may not read some processes, if it runs in its own PID namespace, and while virtual functions of the GPU are
//     assigned to virtual machines. Only some versions of the drivers report the total memory.
//   - Nothing is read that would wake a suspended GPU. The processes that have it open are exported without their memory.
//   - The GPU's own PCIe link leads to a switch on its board. The exported link is the one from that switch to the slot.
package intel

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

const (
	vendor   = "intel"
	vendorID = "0x8086"

	// integrated is the PCI address of an integrated GPU.
	integrated = "0000:00:02.0"
)

// Options configure the backend.
type Options struct {
	// Root is where the machine's file system is mounted; empty: /.
	Root   string
	Logger *slog.Logger // nil: silent
}

// source finds Intel's GPUs.
type source struct {
	logger    *slog.Logger
	reader    *sysfs.Reader
	clients   *clients
	devices   []*device
	histories map[string]*history // by PCI address
}

// New makes a backend. Nothing is opened before the first Read.
func New(o Options) *sysfs.Backend { return sysfs.NewBackend(vendor, o.Root, newSource(o.Logger)) }

func newSource(logger *slog.Logger) *source {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &source{
		logger: logger.With(logging.KeyComponent, "gpu_intel"), reader: sysfs.NewReader(), clients: newClients(), histories: map[string]*history{},
	}
}

// Find opens the GPUs and gives each its index.
func (s *source) Find(root *sysfs.Dir) (devices []sysfs.Device, complete bool) {
	s.devices, complete = nil, true
	for _, f := range sysfs.PCIDevices(root, vendorID, "i915", "xe") {
		if !discrete(root, f) {
			continue
		}
		if s.histories[f.PCI] == nil {
			s.histories[f.PCI] = &history{}
		}
		c, err := s.openDevice(root, f)
		if err != nil {
			complete = false // it was removed while it was opened
			continue
		}
		c.id = identity(root, f)
		c.id.Index = strconv.Itoa(len(devices))
		devices, s.devices = append(devices, c), append(s.devices, c)
	}
	return devices, complete
}

// Begin scans the processes every clientsEvery. It does not read fdinfo of suspended GPUs: the drivers would wake them.
func (s *source) Begin(ctx context.Context, root *sysfs.Dir, now time.Time) {
	if !s.clients.due(now) {
		return
	}
	asleep := map[string]string{}
	for _, c := range s.devices {
		if c.Asleep(s.reader) {
			for _, name := range c.nodes {
				asleep[name] = c.PCI
			}
		}
	}
	s.clients.refresh(ctx, root, s.reader, asleep, now)
	if s.clients.becamePartial() {
		s.logger.Info("the worker cannot read all of the machine's processes: utilization and used memory of GPUs stay unknown")
	}
}

// discrete reports whether a GPU is discrete. In a virtual machine a discrete GPU may have the address of an integrated one.
func discrete(root *sysfs.Dir, f sysfs.PCIDevice) bool {
	return f.PCI != integrated || root.Has(f.Path+"/lmem_total_bytes") || root.Has(f.Path+"/device/vram_d3cold_threshold")
}
