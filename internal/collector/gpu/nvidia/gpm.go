//go:build linux && cgo

package nvidia

import (
	"slices"
	"strconv"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

const (
	// gpmPause is the shortest time between two samples that the library can compare.
	gpmPause = 100 * time.Millisecond
	// gpmMemory is the longest time over which two samples say something about now.
	gpmMemory = 30 * time.Second
	// gpmLinks is how many links have rates of their own.
	gpmLinks = 18
	mebibyte = 1 << 20
)

// measure compares two samples of the GPU's performance counters (GPM, from Hopper on), taken one reading apart.
type measure struct {
	older, newer nvml.GpmSample
	at           time.Time // when newer was taken
	values       map[nvml.GpmMetricId]float64
}

var (
	gpmMetrics = []nvml.GpmMetricId{
		nvml.GPM_METRIC_SM_UTIL, nvml.GPM_METRIC_SM_OCCUPANCY, nvml.GPM_METRIC_ANY_TENSOR_UTIL, nvml.GPM_METRIC_DRAM_BW_UTIL,
		nvml.GPM_METRIC_PCIE_RX_PER_SEC, nvml.GPM_METRIC_PCIE_TX_PER_SEC,
	}
	gpmSliceMetrics = []nvml.GpmMetricId{nvml.GPM_METRIC_GRAPHICS_UTIL}
)

// take takes a sample and makes values of it and the one before. Values are empty when there is nothing to compare.
func (m *measure) take(c *device, k key, metrics []nvml.GpmMetricId, sample func(nvml.GpmSample) nvml.Return) {
	if !m.at.IsZero() && c.now.Sub(m.at) < gpmPause {
		return
	}
	if m.values == nil {
		m.values = map[nvml.GpmMetricId]float64{}
	}
	clear(m.values)
	if !c.may(k) || !m.allocate(c) || !c.judge(k, sample(m.older)) {
		return
	}
	last := m.at
	m.older, m.newer, m.at = m.newer, m.older, c.now
	if last.IsZero() || m.at.Sub(last) > gpmMemory || !c.may(key{q: askGPMMetrics}) {
		return
	}
	r := c.backend.request
	r.NumMetrics, r.Sample1, r.Sample2 = uint32(len(metrics)), m.older, m.newer
	for i, id := range metrics {
		r.Metrics[i] = nvml.GpmMetric{MetricId: uint32(id)}
	}
	if !c.judge(key{q: askGPMMetrics}, c.backend.lib.GpmMetricsGet(r)) {
		return
	}
	for _, metric := range r.Metrics[:len(metrics)] {
		if nvml.Return(metric.NvmlReturn) == nvml.SUCCESS {
			m.values[nvml.GpmMetricId(metric.MetricId)] = metric.Value
		}
	}
}

func (m *measure) allocate(c *device) bool {
	for _, sample := range []*nvml.GpmSample{&m.older, &m.newer} {
		if *sample != nil {
			continue
		}
		s, ret := c.backend.lib.GpmSampleAlloc()
		if ret != nvml.SUCCESS {
			return false
		}
		*sample = s
	}
	return true
}

func (m *measure) free() {
	for _, sample := range []nvml.GpmSample{m.older, m.newer} {
		if sample != nil {
			_ = sample.Free() // there is nothing to do about it
		}
	}
	*m = measure{}
}

func (m *measure) ratio(id nvml.GpmMetricId) gpu.Value {
	if v, ok := m.values[id]; ok {
		return ratio(v)
	}
	return gpu.Value{}
}

func (m *measure) rate(id nvml.GpmMetricId) gpu.Value {
	if v, ok := m.values[id]; ok && v >= 0 {
		return gpu.Known(v * mebibyte)
	}
	return gpu.Value{}
}

// hasGPM says whether the GPU counts its performance. For other GPUs the library answers too, and says no.
func (c *device) hasGPM() bool {
	if _, ok := c.gpm.Get(); !ok {
		if support, ok := ask(c, askGPM, c.handle.GpmQueryDeviceSupport); ok {
			c.gpm = yesNo(support.IsSupportedDevice != 0)
		}
	}
	v, _ := c.gpm.Get()
	return v == 1
}

// measuresPCIe says whether the rates over PCIe need not be asked for.
func (c *device) measuresPCIe() bool {
	return c.hasGPM() && c.may(key{q: askGPMSample}) && !c.noPCIeRates
}

// readMeasured takes what the GPU counts about itself. Rates of links stand only where the links have no counters.
func (c *device) readMeasured(d *gpu.Device) {
	if !c.hasGPM() {
		return
	}
	if c.measured == nil {
		c.measured = new(measure)
	}
	m := c.measured
	m.take(c, key{q: askGPMSample}, c.gpmWanted(d.Links), func(s nvml.GpmSample) nvml.Return { return c.handle.GpmSampleGet(s) })
	d.SMActive, d.SMOccupancy = m.ratio(nvml.GPM_METRIC_SM_UTIL), m.ratio(nvml.GPM_METRIC_SM_OCCUPANCY)
	d.TensorActive, d.DRAMActive = m.ratio(nvml.GPM_METRIC_ANY_TENSOR_UTIL), m.ratio(nvml.GPM_METRIC_DRAM_BW_UTIL)
	receive, transmit := m.rate(nvml.GPM_METRIC_PCIE_RX_PER_SEC), m.rate(nvml.GPM_METRIC_PCIE_TX_PER_SEC)
	if _, ok := receive.Get(); ok {
		d.PCIe.Receive, d.PCIe.Transmit = receive, transmit
	} else if len(m.values) > 0 {
		c.noPCIeRates = true
	}
	if slices.ContainsFunc(d.Links, wantsRate) {
		d.Links = slices.Clone(d.Links)
		for i := range d.Links {
			if link := &d.Links[i]; wantsRate(*link) {
				rx, tx := linkMetrics(*link)
				link.ReceiveRate, link.TransmitRate = m.rate(rx), m.rate(tx)
			}
		}
	}
}

// gpmWanted are the metrics to compare: of the GPU and of links that have no counters.
func (c *device) gpmWanted(links []gpu.Link) []nvml.GpmMetricId {
	wanted := gpmMetrics
	for _, link := range links {
		if wantsRate(link) {
			rx, tx := linkMetrics(link)
			wanted = append(slices.Clip(wanted), rx, tx)
		}
	}
	return wanted
}

func wantsRate(link gpu.Link) bool {
	up, _ := link.Up.Get()
	n, err := strconv.Atoi(link.Name)
	return up == 1 && link.Received == (gpu.Value{}) && err == nil && n < gpmLinks
}

func linkMetrics(link gpu.Link) (rx, tx nvml.GpmMetricId) {
	n, _ := strconv.Atoi(link.Name)
	rx = nvml.GPM_METRIC_NVLINK_L0_RX_PER_SEC + nvml.GpmMetricId(2*n)
	return rx, rx + 1
}

func (c *device) freeSamples() {
	if c.measured != nil {
		c.measured.free()
	}
	for _, m := range c.sliceMeasures {
		m.free()
	}
	c.measured = nil
	clear(c.sliceMeasures)
}
