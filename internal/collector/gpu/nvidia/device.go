//go:build linux && cgo

package nvidia

import (
	"errors"
	"fmt"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// device is what is kept of a GPU between readings, and the state of the reading under way.
type device struct {
	backend *Backend
	handle  nvml.Device
	id      gpu.Identity

	cores     gpu.Value
	maxClocks [len(clockParts)]gpu.Value
	links     gpu.Value // how many it has
	fans      gpu.Value
	offered   []gpu.Throttle // reasons that it could give, nil if it was not asked yet

	closed   map[key]time.Time // questions that are not answered, until when
	slowNext time.Time
	slow     slowValues
	fields   []nvml.FieldValue // used again

	mig        bool
	slices     []*slice
	slicesNext time.Time

	gpm           gpu.Value // 1: it counts its performance
	noPCIeRates   bool      // but not the traffic over PCIe
	measured      *measure
	sliceMeasures map[string]*measure // by the slice's UUID

	now                           time.Time
	lost, reloaded, resetRequired bool
	errs                          []error
}

func newDevice(b *Backend, uuid string) *device {
	return &device{
		backend: b,
		id:      gpu.Identity{Vendor: vendor, Chip: "0", UUID: uuid},
		closed:  map[key]time.Time{}, sliceMeasures: map[string]*measure{},
	}
}

// read reads the GPU. Its identity alone is read for certain; the device has no name if that failed.
func (c *device) read() (gpu.Device, error) {
	c.now, c.errs = time.Now(), nil
	c.lost, c.reloaded, c.resetRequired = false, false, false
	c.identify()
	d := gpu.Device{}
	if c.id.Name != "" {
		c.readFast(&d)
		if !c.now.Before(c.slowNext) {
			c.slow = c.readSlow()
			c.scheduleSlow()
		}
		c.slow.fill(&d)
		c.readSlices(&d)
		c.readMeasured(&d)
		c.readProcesses(&d)
		if c.resetRequired {
			d.Action = gpu.ActionReset
		}
	}
	switch {
	case c.reloaded:
		return gpu.Device{}, errReloaded
	case c.lost:
		return gpu.Device{Identity: c.id, Lost: true}, fmt.Errorf("NVIDIA GPU %s (%s) is lost: see the kernel log for its XID, then reset the GPU or reboot", c.id.Index, c.id.PCI)
	}
	d.Identity = c.id
	return d, errors.Join(c.errs...)
}

// identify reads once what names the GPU.
func (c *device) identify() {
	if c.id.Name == "" {
		c.id.Name, _ = ask(c, askName, c.handle.GetName)
	}
	if c.id.PCI == "" {
		if info, ok := ask(c, askPCI, c.handle.GetPciInfo); ok {
			c.id.PCI = fmt.Sprintf("%04x:%02x:%02x.0", info.Domain, info.Bus, info.Device)
		}
	}
	if c.id.Firmware == "" {
		c.id.Firmware, _ = ask(c, askVBIOS, c.handle.GetVbiosVersion)
	}
}

// clockParts are the clocks that are read, the first of them with each reading. The others hardly move, or with the first.
var clockParts = [...]struct {
	name  string
	clock nvml.ClockType
}{
	{"sm", nvml.CLOCK_SM},
	{"memory", nvml.CLOCK_MEM},
	{"graphics", nvml.CLOCK_GRAPHICS},
	{"video", nvml.CLOCK_VIDEO},
}

// readFast reads what changes from one second to the next.
func (c *device) readFast(d *gpu.Device) {
	// The memory comes first: it is the cheapest question that a lost GPU does not answer.
	d.MemoryTotal, d.MemoryUsed = c.memory(c.handle, 0)
	if rates, ok := ask(c, askUtilization, c.handle.GetUtilizationRates); ok {
		d.Utilization = ratio(float64(rates.Gpu))
	}
	d.PowerUsed = over(number(c, askPower, c.handle.GetPowerUsage), 1000)
	d.Energy = over(number(c, askEnergy, c.handle.GetTotalEnergyConsumption), 1000)
	d.Temperature = number(c, askTemperature, func() (uint32, nvml.Return) {
		return c.handle.GetTemperature(nvml.TEMPERATURE_GPU) // its successor came with drivers 570
	})
	c.eachField([]field{{id: nvml.FI_DEV_MEMORY_TEMP}}, func(_ field, celsius float64) {
		if celsius > 0 { // boards without the sensor say 0
			d.MemoryTemperature = gpu.Known(celsius)
		}
	})
	d.Cores = fact(c, &c.cores, key{q: askCores}, c.handle.GetNumGpuCores)
	d.Clocks = c.readClocks(0, 1)
	c.readThrottles(d)
}

// readClocks reads a range of clockParts.
func (c *device) readClocks(from, to int) []gpu.Clock {
	var out []gpu.Clock
	for i := from; i < to; i++ {
		part := clockParts[i]
		clock := gpu.Clock{
			Part: part.name,
			Now:  times(numberFor(c, key{askClock, i}, func() (uint32, nvml.Return) { return c.handle.GetClockInfo(part.clock) }), 1e6),
			Max:  times(fact(c, &c.maxClocks[i], key{askMaxClock, i}, func() (uint32, nvml.Return) { return c.handle.GetMaxClockInfo(part.clock) }), 1e6),
		}
		if clock.Now != (gpu.Value{}) || clock.Max != (gpu.Value{}) {
			out = append(out, clock)
		}
	}
	return out
}

// memory reads the memory of the GPU or, with n > 0, of one of its slices. What the driver keeps for itself is not counted as
// used where it tells it apart.
func (c *device) memory(handle nvml.Device, n int) (total, used gpu.Value) {
	if m, ok := askFor(c, key{askMemory2, n}, handle.GetMemoryInfo_v2); ok {
		return known(m.Total, m.Used)
	}
	if m, ok := askFor(c, key{askMemory, n}, handle.GetMemoryInfo); ok {
		return known(m.Total, m.Used)
	}
	return gpu.Value{}, gpu.Value{}
}

// known leaves out the memory of GPUs that share the machine's, for which some drivers say 0.
func known(total, used uint64) (gpu.Value, gpu.Value) {
	if total == 0 || used > total {
		return gpu.Value{}, gpu.Value{}
	}
	return gpu.Known(float64(total)), gpu.Known(float64(used))
}
