//go:build linux && cgo

package nvidia

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// maxSlices bounds the slices of a GPU.
const maxSlices = 64

// slice is a MIG device or a vGPU of the GPU.
type slice struct {
	handle   nvml.Device       // of a MIG device
	vgpu     nvml.VgpuInstance // of a vGPU
	index    int
	uuid     string
	profile  string
	gi, ci   int
	total    gpu.Value // of a vGPU
	answered bool
}

// number tells slices apart in keys, where 0 is the GPU itself.
func (s *slice) number() int { return s.index + 1 }

// readSlices lists the slices from time to time and reads what they use each time.
func (c *device) readSlices(d *gpu.Device) {
	if !c.now.Before(c.slicesNext) {
		c.slicesNext = c.now.Add(slowEvery)
		c.listSlices(d.MemoryTotal)
	}
	shared := map[int]int{} // compute instances by GPU instance
	for _, s := range c.slices {
		shared[s.gi]++
	}
	for _, s := range c.slices {
		out := gpu.Slice{Name: strconv.Itoa(s.index), UUID: s.uuid, Profile: s.profile}
		if s.vgpu != nil {
			out.Name, out.MemoryTotal = s.uuid, s.total
			out.MemoryUsed = numberFor(c, key{askVGPU, s.number()}, s.vgpu.GetFbUsage)
		} else {
			out.GPUInstance, out.ComputeInstance = strconv.Itoa(s.gi), strconv.Itoa(s.ci)
			out.MemoryTotal, out.MemoryUsed = c.memory(s.handle, s.number())
			_, ok := out.MemoryTotal.Get()
			if s.answered && !ok {
				c.slicesNext = c.now // it may be gone
			}
			s.answered = ok
			if shared[s.gi] == 1 { // the counters are the GPU instance's
				out.Utilization = c.measureSlice(s)
			}
		}
		d.Slices = append(d.Slices, out)
	}
}

func (c *device) listSlices(total gpu.Value) {
	before, divided := c.slices, c.mig
	c.slices, c.mig = nil, false
	if k := (key{q: askMIG}); c.may(k) {
		current, _, ret := c.handle.GetMigMode()
		c.mig = c.judge(k, ret) && current == nvml.DEVICE_MIG_ENABLE
	}
	if c.mig != divided {
		clear(c.closed) // a divided GPU offers other values than a whole one
	}
	if c.mig {
		c.slices = c.listMIG(total)
	} else {
		c.slices = c.listVGPUs()
	}
	c.forgetSlices(before)
}

func (c *device) listMIG(total gpu.Value) []*slice {
	var out []*slice
	count, _ := ask(c, askMIGCount, c.handle.GetMaxMigDeviceCount)
	for i := range min(count, maxSlices) {
		// Places without a device answer "not found", or "invalid argument" beyond the last. They are asked again each time.
		device, ret := c.handle.GetMigDeviceHandleByIndex(i)
		if ret != nvml.SUCCESS {
			if ret == nvml.ERROR_GPU_IS_LOST || ret == nvml.ERROR_UNINITIALIZED {
				c.judge(key{askMIGDevice, i}, ret)
			}
			continue
		}
		s := &slice{handle: device, index: i}
		var ok [3]bool
		s.uuid, ok[0] = askFor(c, key{askSliceFact, 3 * i}, device.GetUUID)
		s.gi, ok[1] = askFor(c, key{askSliceFact, 3*i + 1}, device.GetGpuInstanceId)
		s.ci, ok[2] = askFor(c, key{askSliceFact, 3*i + 2}, device.GetComputeInstanceId)
		if !ok[0] || !ok[1] || !ok[2] {
			continue
		}
		s.profile = c.profile(s, total)
		out = append(out, s)
	}
	return out
}

// profile is the profile's name: what stands behind MIG in the device's name or, with drivers that do not name it, made of its
// share as nvidia-smi does.
func (c *device) profile(s *slice, total gpu.Value) string {
	if name, ret := s.handle.GetName(); ret == nvml.SUCCESS {
		if _, profile, ok := strings.Cut(name, " MIG "); ok {
			return strings.TrimSpace(profile)
		}
	}
	a, ok := askFor(c, key{askMIGAttributes, s.number()}, s.handle.GetAttributes)
	bytes, known := total.Get()
	if !ok || !known || a.GpuInstanceSliceCount == 0 {
		return ""
	}
	// Memory comes in eighths of the GPU's, which is rounded up to whole GiB.
	eighths := math.Ceil(float64(a.MemorySizeMB) * mebibyte / bytes * 8)
	gb := math.Round(eighths / 8 * math.Ceil(bytes/(1<<30)))
	profile := fmt.Sprintf("%dg.%.0fgb", a.GpuInstanceSliceCount, gb)
	if a.ComputeInstanceSliceCount < a.GpuInstanceSliceCount {
		profile = fmt.Sprintf("%dc.%s", a.ComputeInstanceSliceCount, profile)
	}
	return profile
}

// listVGPUs lists the virtual GPUs that a host with NVIDIA's vGPU manager has handed out.
func (c *device) listVGPUs() []*slice {
	instances, _ := ask(c, askVGPUs, c.handle.GetActiveVgpus)
	var out []*slice
	for i, instance := range instances[:min(len(instances), maxSlices)] {
		s := &slice{vgpu: instance, index: i}
		var ret nvml.Return
		if s.uuid, ret = instance.GetUUID(); ret != nvml.SUCCESS {
			continue
		}
		if kind, ret := instance.GetType(); ret == nvml.SUCCESS {
			s.profile, _ = kind.GetName()
			if size, ret := kind.GetFramebufferSize(); ret == nvml.SUCCESS {
				s.total = gpu.Known(float64(size))
			}
		}
		out = append(out, s)
	}
	return out
}

// measureSlice is the share of a slice's GPU instance that worked. Samples are kept by the slice's UUID: the number of an
// instance is given again to the next.
func (c *device) measureSlice(s *slice) gpu.Value {
	if !c.hasGPM() {
		return gpu.Value{}
	}
	m := c.sliceMeasures[s.uuid]
	if m == nil {
		m = new(measure)
		c.sliceMeasures[s.uuid] = m
	}
	m.take(c, key{askGPMSliceSample, s.gi}, gpmSliceMetrics, func(sample nvml.GpmSample) nvml.Return {
		return c.handle.GpmMigSampleGet(s.gi, sample)
	})
	return m.ratio(nvml.GPM_METRIC_GRAPHICS_UTIL)
}

// forgetSlices drops what was kept of slices that are gone, so that others in their place are asked anew.
func (c *device) forgetSlices(before []*slice) {
	uuids := map[string]bool{}
	for _, s := range c.slices {
		uuids[s.uuid] = true
	}
	changed := len(before) != len(c.slices)
	for _, s := range before {
		changed = changed || !uuids[s.uuid]
	}
	if !changed {
		return
	}
	for uuid, m := range c.sliceMeasures {
		if !uuids[uuid] {
			m.free()
			delete(c.sliceMeasures, uuid)
		}
	}
	for k := range c.closed {
		if k.n > 0 && (k.q == askMemory || k.q == askMemory2 || k.q == askCompute || k.q == askVGPU || k.q == askMIGAttributes || k.q == askGPMSliceSample || k.q == askSliceFact) {
			delete(c.closed, k)
		}
	}
}
