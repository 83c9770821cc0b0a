// Package intel reads Intel's discrete GPUs from what the i915 and xe drivers tell in /sys, and from what they tell of each
// process in /proc/<pid>/fdinfo.
//
// Choices:
//   - The graphics units of processors have no memory of their own and do not make a machine a GPU node: they are left out.
//   - The index is a GPU's place among the discrete GPUs by PCI address, which is how xpu-smi numbers them.
//   - Neither driver tells a GPU's power in /sys: it is the energy between two readings. On GPUs that count the energy of
//     the whole board as 0, the one of the chip stands for it.
//   - Neither tells how busy a GPU is, or how much of its memory is in use: both follow from the processes that have it open,
//     and stay absent if some processes may not be looked at or can't be seen, as from a container with processes of its own, and
//     while virtual functions of the GPU are given away. How much memory a GPU has only some versions of the drivers tell.
//   - Of a GPU that sleeps nothing is read that would wake it. Who has it open is told, not with how much memory.
//   - The GPU's own PCIe link is the one to a switch on the GPU; what is told is the link of that switch to the slot.
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

	// integrated is where processors have their graphics unit.
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
			complete = false // it went while it was opened
			continue
		}
		c.id = identity(root, f)
		c.id.Index = strconv.Itoa(len(devices))
		devices, s.devices = append(devices, c), append(s.devices, c)
	}
	return devices, complete
}

// Begin looks at processes, now and then, but not at what they do with GPUs that sleep: the drivers would wake them.
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
	if s.clients.news() {
		s.logger.Info("not all of the machine's processes can be looked at: use and memory of GPUs stay unknown")
	}
}

// discrete reports whether a GPU is one, and not a processor's graphics unit. In a virtual machine a GPU may stand in the
// same place.
func discrete(root *sysfs.Dir, f sysfs.PCIDevice) bool {
	return f.PCI != integrated || root.Has(f.Path+"/lmem_total_bytes") || root.Has(f.Path+"/device/vram_d3cold_threshold")
}
