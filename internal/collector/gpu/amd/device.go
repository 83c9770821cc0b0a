package amd

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

// device is an open GPU.
type device struct {
	sysfs.OpenDevice

	source  *source
	id      gpu.Identity
	cores   gpu.Value
	nodes   []node
	parts   []gpu.Slice
	history *history

	busy, memoryBusy, memoryTotal, memoryUsed, metricsFile, replays *sysfs.Attr
	junction, edge, memoryTemperature                               *sysfs.Attr
	powerAverage, powerInput, powerCap, energy                      *sysfs.Attr
	fan, fanMax, pwm, pwmMax                                        *sysfs.Attr
	graphicsClock, memoryClock                                      *sysfs.Attr
	compute, memoryMode                                             string
	blocks                                                          []block

	awake                  bool // it was, since it was opened: what follows is read
	graphicsMax, memoryMax gpu.Value

	metrics metrics
	ras     ras
	rasAt   time.Time
}

// openDevice opens a GPU's attributes. It reads none that would wake the GPU.
func (s *source) openDevice(root *sysfs.Dir, f sysfs.PCIDevice, nodes []node) (*device, error) {
	opened, err := f.Open(root, "amdgpu")
	if err != nil {
		return nil, err
	}
	c := &device{OpenDevice: opened, source: s, nodes: nodes, history: s.histories[f.PCI]}
	c.busy, c.memoryBusy = c.Attr("gpu_busy_percent"), c.Attr("mem_busy_percent")
	c.memoryTotal, c.memoryUsed = c.Attr("mem_info_vram_total"), c.Attr("mem_info_vram_used")
	c.metricsFile, c.replays = c.Attr("gpu_metrics"), c.Attr("pcie_replay_count")
	c.openSensors()
	c.compute, c.memoryMode = c.Device.Text("current_compute_partition"), c.Device.Text("current_memory_partition")
	c.Link = sysfs.OpenLink(root, slot(root, f.Path))
	c.blocks = findBlocks(c.Device)
	var units int64
	for _, n := range nodes {
		units += n.units
	}
	if units > 0 {
		c.cores = gpu.Known(float64(units))
	}
	return c, nil
}

// wake reads what holds as long as the GPU is open, once it is awake.
func (c *device) wake() {
	if c.awake {
		return
	}
	c.awake = true
	c.graphicsMax, c.memoryMax = highest(c.Device, "pp_dpm_sclk"), highest(c.Device, "pp_dpm_mclk")
	m := &metrics{}
	if b, err := c.Device.Read("gpu_metrics", nil); err == nil && !decodeMetrics(b, m) && !m.processor {
		c.source.logger.Debug("gpu_metrics has a form that is not known", "pci", c.PCI, "format", m.format, "content", m.content)
	}
}

func (c *device) openSensors() {
	if c.Hwmon == nil {
		return
	}
	c.junction = c.Keep(sysfs.Sensor(c.Hwmon, "temp", "input", "junction"))
	c.edge = c.Keep(sysfs.Sensor(c.Hwmon, "temp", "input", "edge"))
	if c.junction == nil && c.edge == nil && !c.Hwmon.Has("temp1_label") {
		c.edge = c.Keep(sysfs.First(c.Hwmon, "temp1_input"))
	}
	c.memoryTemperature = c.Keep(sysfs.Sensor(c.Hwmon, "temp", "input", "mem"))
	c.graphicsClock = c.Keep(sysfs.Sensor(c.Hwmon, "freq", "input", "sclk"))
	c.memoryClock = c.Keep(sysfs.Sensor(c.Hwmon, "freq", "input", "mclk"))
	for _, a := range []struct {
		to   **sysfs.Attr
		name string
	}{
		{&c.powerAverage, "power1_average"},
		{&c.powerInput, "power1_input"},
		{&c.powerCap, "power1_cap"},
		{&c.energy, "energy1_input"},
		{&c.fan, "fan1_input"},
		{&c.fanMax, "fan1_max"},
		{&c.pwm, "pwm1"},
		{&c.pwmMax, "pwm1_max"},
	} {
		*a.to = c.Keep(c.Hwmon.Attr(a.name))
	}
}

// slot is the path of the device that sits in the slot: newer GPUs carry a switch of their own, and the GPU's link is then
// the one to the switch, which always runs at its best.
func slot(root *sysfs.Dir, path string) string {
	const deepest = 4
	path += "/device"
	for range deepest {
		if root.Text(path+"/../vendor") != vendorID {
			break
		}
		path += "/.."
	}
	return path
}

// highest is the highest clock of a pp_dpm attribute ("1: 31Mhz *"), in Hz.
func highest(device *sysfs.Dir, name string) gpu.Value {
	b, err := device.Read(name, nil)
	if err != nil {
		return gpu.Value{}
	}
	return parseHighest(b)
}

const maxMHz = 100_000

func parseHighest(b []byte) gpu.Value {
	best := 0
	for line := range bytes.Lines(b) {
		_, rest, _ := strings.Cut(string(line), ":")
		number, _, found := strings.Cut(strings.ToLower(strings.TrimSpace(rest)), "mhz")
		if n, err := strconv.Atoi(number); found && err == nil && n <= maxMHz {
			best = max(best, n)
		}
	}
	if best == 0 {
		return gpu.Value{}
	}
	return gpu.Known(float64(best) * 1e6)
}

// small reports whether the GPU is a processor's graphics unit for a screen.
func (c *device) small() bool {
	units, ok := c.cores.Get()
	total, _ := c.source.reader.Int(c.memoryTotal)
	return ok && units <= smallGraphics && total < smallGraphicsMemory
}

// slices makes a slice of each partition, if there are several. first is the index of the first one. A partition's memory is
// told if it is the partition's own; in some modes all partitions share the GPU's.
func (c *device) slices(first int) {
	if len(c.nodes) < 2 {
		return
	}
	var sum int64
	for _, n := range c.nodes {
		sum += n.memory
	}
	total, _ := c.source.reader.Int(c.memoryTotal)
	profile := strings.ToLower(c.compute)
	if c.memoryMode != "" {
		profile = strings.Trim(profile+"_"+strings.ToLower(c.memoryMode), "_")
	}
	ids := map[uint64]bool{}
	for _, n := range c.nodes {
		ids[n.uniqueID] = true
	}
	for i, n := range c.nodes {
		s := gpu.Slice{Name: strconv.Itoa(first + i), Profile: profile, ComputeInstance: strconv.Itoa(n.partition)}
		if n.uniqueID != 0 && len(ids) == len(c.nodes) { // some drivers give all the GPU's
			s.UUID = fmt.Sprintf("GPU-%016x", n.uniqueID)
		}
		if n.memory > 0 && sum <= total {
			s.MemoryTotal = gpu.Known(float64(n.memory))
		}
		c.parts = append(c.parts, s)
	}
}
