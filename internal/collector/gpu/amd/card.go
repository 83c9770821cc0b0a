package amd

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

// card is an open card.
type card struct {
	sysfs.Card

	id      gpu.Identity
	cores   gpu.Value
	nodes   []node
	parts   []gpu.Slice
	history *history
	device  *sysfs.Dir
	hwmon   *sysfs.Dir

	suspended, busy, memoryBusy, memoryTotal, memoryUsed, metricsFile, replays *sysfs.Attr
	junction, edge, memoryTemperature                                          *sysfs.Attr
	powerAverage, powerInput, powerCap, energy                                 *sysfs.Attr
	fan, fanMax, pwm, pwmMax                                                   *sysfs.Attr
	graphicsClock, memoryClock                                                 *sysfs.Attr
	graphicsMax, memoryMax                                                     gpu.Value
	compute, memoryMode                                                        string
	link                                                                       sysfs.LinkAttrs
	slot                                                                       *sysfs.Dir
	blocks                                                                     []block

	metrics metrics
	ras     ras
	rasAt   time.Time
	attrs   []*sysfs.Attr
}

// openCard opens a card's attributes.
func openCard(root *sysfs.Dir, f sysfs.Card, nodes []node, h *history, logger *slog.Logger) (*card, error) {
	device, err := root.Sub(f.Path + "/device")
	if err != nil {
		return nil, err
	}
	c := &card{Card: f, nodes: nodes, history: h, device: device, hwmon: sysfs.Hwmon(device, "amdgpu")}
	c.suspended, c.busy, c.memoryBusy = c.attr("power/runtime_status"), c.attr("gpu_busy_percent"), c.attr("mem_busy_percent")
	c.memoryTotal, c.memoryUsed = c.attr("mem_info_vram_total"), c.attr("mem_info_vram_used")
	c.metricsFile, c.replays = c.attr("gpu_metrics"), c.attr("pcie_replay_count")
	c.openSensors()
	c.graphicsMax, c.memoryMax = highest(device, "pp_dpm_sclk"), highest(device, "pp_dpm_mclk")
	c.compute, c.memoryMode = device.Text("current_compute_partition"), device.Text("current_memory_partition")
	c.slot = slotLink(root, f.Path)
	if c.slot == nil {
		c.link = sysfs.Link(device)
	} else {
		c.link = sysfs.Link(c.slot)
	}
	c.blocks = openRAS(device)
	var units int64
	for _, n := range nodes {
		units += n.units
	}
	if units > 0 {
		c.cores = gpu.Known(float64(units))
	}
	if b, err := device.Read("gpu_metrics", nil); err == nil && !decodeMetrics(b, &c.metrics) && !c.metrics.processor {
		logger.Debug("gpu_metrics has a form that is not known", "pci", c.PCI, "format", c.metrics.format, "content", c.metrics.content)
	}
	return c, nil
}

func (c *card) attr(name string) *sysfs.Attr { return c.keep(c.device.Attr(name)) }

func (c *card) keep(a *sysfs.Attr) *sysfs.Attr {
	if a != nil {
		c.attrs = append(c.attrs, a)
	}
	return a
}

func (c *card) openSensors() {
	if c.hwmon == nil {
		return
	}
	c.junction = c.keep(sysfs.Sensor(c.hwmon, "temp", "input", "junction"))
	c.edge = c.keep(sysfs.Sensor(c.hwmon, "temp", "input", "edge"))
	if c.junction == nil && c.edge == nil && !c.hwmon.Has("temp1_label") {
		c.edge = c.keep(sysfs.First(c.hwmon, "temp1_input"))
	}
	c.memoryTemperature = c.keep(sysfs.Sensor(c.hwmon, "temp", "input", "mem"))
	c.graphicsClock = c.keep(sysfs.Sensor(c.hwmon, "freq", "input", "sclk"))
	c.memoryClock = c.keep(sysfs.Sensor(c.hwmon, "freq", "input", "mclk"))
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
		*a.to = c.keep(c.hwmon.Attr(a.name))
	}
}

func (c *card) close() {
	for _, a := range c.attrs {
		a.Close()
	}
	for _, b := range c.blocks {
		b.attr.Close()
	}
	c.link.Close()
	for _, d := range []*sysfs.Dir{c.hwmon, c.slot, c.device} {
		d.Close()
	}
}

// slotLink opens the device that sits in the slot, if that isn't the card itself: newer cards carry a switch of their own,
// and the card's link is then the one to the switch, which always runs at its best. It is nil otherwise.
func slotLink(root *sysfs.Dir, path string) *sysfs.Dir {
	const deepest = 4
	path += "/device"
	switches := 0
	for range deepest {
		if root.Text(path+"/../vendor") != vendorID {
			break
		}
		path += "/.."
		switches++
	}
	if switches == 0 {
		return nil
	}
	d, err := root.Sub(path)
	if err != nil {
		return nil
	}
	return d
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

// small reports whether the card is a processor's graphics unit for a screen.
func (c *card) small(r *sysfs.Reader) bool {
	units, ok := c.cores.Get()
	total, _ := r.Int(c.memoryTotal)
	return ok && units <= smallGraphics && total < smallGraphicsMemory
}

// slices makes a slice of each partition, if there are several. first is the index of the first one. A partition's memory is
// told if it is the partition's own; in some modes all partitions share the card's.
func (c *card) slices(first int, r *sysfs.Reader) {
	if len(c.nodes) < 2 {
		return
	}
	var sum int64
	for _, n := range c.nodes {
		sum += n.memory
	}
	total, _ := r.Int(c.memoryTotal)
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
		if n.uniqueID != 0 && len(ids) == len(c.nodes) { // some drivers give all the card's
			s.UUID = "GPU-" + strconv.FormatUint(n.uniqueID, 16)
		}
		if n.memory > 0 && sum <= total {
			s.MemoryTotal = gpu.Known(float64(n.memory))
		}
		c.parts = append(c.parts, s)
	}
}
