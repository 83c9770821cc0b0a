package amd

import (
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

// Read reads the GPU. What can't be read is absent.
func (c *device) Read(now time.Time) gpu.Device {
	r, k := c.source.reader, c.source.kfd
	d := gpu.Device{
		Identity: c.id, Cores: c.cores,
		MemoryTotal: r.Positive(c.memoryTotal, 1, 1), MemoryUsed: r.Value(c.memoryUsed, 1, 1),
		Slices: c.parts, Processes: k.of(c.nodes, c.parts), ProcessesKnown: k.known && len(c.nodes) > 0,
	}
	if c.Asleep(r) {
		return d
	}
	c.wake()
	r.Failed, r.Succeeded = 0, 0
	known := decodeMetrics(r.Bytes(c.metricsFile), &c.metrics)
	c.sensors(r, &d)
	if r.Failed > 0 && r.Succeeded == 0 && c.OffBus(r) {
		d.Lost = true
		return d
	}
	if known {
		c.fromMetrics(&d)
	}
	r.Link(c.Link, &d.PCIe)
	if c.rasAt.IsZero() || now.Sub(c.rasAt) >= rasEvery {
		c.ras, c.rasAt = c.readRAS(r), now
	}
	d.ECC, d.Remapped, d.RowRemapPending, d.RowRemapFailed = c.ras.ecc, c.ras.remapped, c.ras.pending, c.ras.failed
	return d
}

func (c *device) sensors(r *sysfs.Reader, d *gpu.Device) {
	d.Utilization, d.DRAMActive = r.Percent(c.busy), r.Percent(c.memoryBusy)
	d.Temperature = either(r.Temperature(c.junction), func() gpu.Value { return r.Temperature(c.edge) })
	d.MemoryTemperature = r.Temperature(c.memoryTemperature)
	d.PowerUsed = either(r.Positive(c.powerAverage, 1, 1e6), func() gpu.Value { return r.Positive(c.powerInput, 1, 1e6) })
	d.PowerLimit = r.Positive(c.powerCap, 1, 1e6)
	d.Energy = r.Positive(c.energy, 1, 1e6)
	if d.PCIe.Replays = r.Value(c.replays, 1, 1); d.PCIe.Replays == gpu.Known(0) && !c.countsReplays() {
		d.PCIe.Replays = gpu.Value{}
	}
	d.Clocks = make([]gpu.Clock, 0, 2)
	for _, clock := range []gpu.Clock{
		{Part: "graphics", Now: r.Value(c.graphicsClock, 1, 1), Max: c.graphicsMax},
		{Part: "memory", Now: r.Value(c.memoryClock, 1, 1), Max: c.memoryMax},
	} {
		if _, ok := clock.Now.Get(); ok || clock.Max != (gpu.Value{}) {
			d.Clocks = append(d.Clocks, clock)
		}
	}
	speed := either(share(r, c.fan, c.fanMax), func() gpu.Value { return share(r, c.pwm, c.pwmMax) })
	if _, ok := speed.Get(); ok {
		d.Fans = []gpu.Fan{{Name: "0", Speed: speed}}
	}
}

// fromMetrics adds what stands in gpu_metrics alone, and what other attributes didn't tell.
func (c *device) fromMetrics(d *gpu.Device) {
	m := &c.metrics
	for _, v := range []struct {
		to   *gpu.Value
		from gpu.Value
	}{
		{&d.Utilization, m.graphics},
		{&d.DRAMActive, m.controllers},
		{&d.Temperature, m.hotspot},
		{&d.MemoryTemperature, m.memory},
		{&d.PowerUsed, m.power},
		{&d.PCIe.Replays, m.replays},
	} {
		if _, ok := v.to.Get(); !ok {
			*v.to = v.from
		}
	}
	_, counted := d.Energy.Get()
	if e, ok := m.energy.Get(); ok && !counted && (m.energyUnit || energyCounted[c.DeviceID]) {
		d.Energy = gpu.Known(e / 65536)
	}
	d.Throttles, d.ThrottleReasons, d.ThrottleKnown = m.throttles.list(), m.tellable.list(), m.throttleKnown
	if m.residency.cycles[0].ok {
		c.history.follow(m)
		d.Throttled = c.history.times()
		d.Throttles, d.ThrottleReasons, d.ThrottleKnown = c.history.now.list(), nil, c.history.second
	}
	d.Links = links(m)
	if len(c.parts) > 0 {
		d.Slices = append([]gpu.Slice(nil), c.parts...)
		for i, n := range c.nodes {
			if n.partition < len(m.partitions) {
				d.Slices[i].Utilization = m.partitions[n.partition]
			}
		}
	}
}

// energyCounted are the GPUs (MI100 and MI200 series) whose energy has the unit of later revisions already in 1.3 and before,
// which rocm-smi takes for all. On graphics GPUs nothing says what it is.
var energyCounted = map[string]bool{"738c": true, "738e": true, "7408": true, "740c": true, "740f": true, "7410": true}

// links are the xGMI links that a GPU has: those that are up or ever moved something. Ends that lead nowhere are down too.
func links(m *metrics) []gpu.Link {
	var list []gpu.Link
	for i := range xgmiLinks {
		read, _ := m.xgmiRead[i].Get()
		written, _ := m.xgmiWritten[i].Get()
		if up, _ := m.xgmiUp[i].Get(); up > 0 || read > 0 || written > 0 {
			list = append(list, gpu.Link{
				Type: "xgmi", Name: strconv.Itoa(i), Up: m.xgmiUp[i], Received: m.xgmiRead[i], Transmitted: m.xgmiWritten[i],
			})
		}
	}
	return list
}

// either is v or, if it isn't known, what other returns.
func either(v gpu.Value, other func() gpu.Value) gpu.Value {
	if _, ok := v.Get(); ok {
		return v
	}
	return other()
}

// share is an attribute as a share of another, its maximum.
func share(r *sysfs.Reader, part, whole *sysfs.Attr) gpu.Value {
	p, ok := r.Int(part)
	if !ok || p < 0 {
		return gpu.Value{}
	}
	w, ok := r.Int(whole)
	if !ok || w <= 0 {
		return gpu.Value{}
	}
	return gpu.Known(min(1, float64(p)/float64(w)))
}

// countsReplays reports whether a pcie_replay_count of 0 is a count. That of graphics GPUs (gfx10 and later) is always 0: the
// driver has nothing there (nv.c, soc21.c, soc24.c).
func (c *device) countsReplays() bool {
	return len(c.nodes) > 0 && c.nodes[0].graphics/10000 == 9
}
