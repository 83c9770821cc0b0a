//go:build linux && cgo

package nvidia

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

const (
	// useWindow is how far back the use of a process is looked for. The driver notes it about once a second.
	useWindow = 3 * time.Second
	// maxProcesses bounds the processes of a GPU.
	maxProcesses = 4096
)

// readProcesses lists the processes that compute or draw on the GPU or, where it is divided, that compute on its slices. A list
// that lacks those that compute is none: they would count as nobody's.
func (c *device) readProcesses(d *gpu.Device) {
	var list []gpu.Process
	known := len(c.slices) > 0
	if c.mig {
		for _, s := range c.slices {
			compute, ok := askFor(c, key{askCompute, s.number()}, s.handle.GetComputeRunningProcesses)
			list, known = addProcesses(list, compute, s.uuid), known && ok
		}
	} else {
		var compute []nvml.ProcessInfo
		compute, known = ask(c, askCompute, c.handle.GetComputeRunningProcesses)
		graphics, _ := ask(c, askGraphics, c.handle.GetGraphicsRunningProcesses)
		list = addProcesses(addProcesses(list, compute, ""), graphics, "")
	}
	if !known {
		return
	}
	if len(list) > 0 && !c.mig {
		c.fillUse(list)
	}
	slices.SortFunc(list, func(a, b gpu.Process) int { return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Slice, b.Slice)) })
	d.Processes, d.ProcessesKnown = list, true
}

// addProcesses adds what is not there yet: a process that computes and draws stands in both lists with the same memory.
func addProcesses(list []gpu.Process, infos []nvml.ProcessInfo, slice string) []gpu.Process {
	for _, info := range infos {
		p := gpu.Process{PID: int(info.Pid), Slice: slice}
		same := func(other gpu.Process) bool { return other.PID == p.PID && other.Slice == slice }
		if p.PID == 0 || len(list) >= maxProcesses || slices.ContainsFunc(list, same) {
			continue
		}
		if info.UsedGpuMemory != math.MaxUint64 {
			p.Memory = gpu.Known(float64(info.UsedGpuMemory))
		}
		list = append(list, p)
	}
	return list
}

// fillUse sets what each process used of the GPU's multiprocessors. The driver names those that used any, so the others used
// none.
func (c *device) fillUse(list []gpu.Process) {
	k := key{q: askProcessUse}
	if !c.may(k) {
		return
	}
	since, until := uint64(c.now.Add(-useWindow).UnixMicro()), uint64(c.now.Add(useWindow).UnixMicro())
	samples, ret := c.handle.GetProcessUtilization(since)
	switch {
	case ret == nvml.ERROR_NOT_FOUND, ret == nvml.ERROR_INSUFFICIENT_SIZE && len(samples) == 0:
		samples = nil // nobody used any
	case !c.judge(k, ret):
		return
	}
	newest := map[uint32]nvml.ProcessUtilizationSample{}
	for _, s := range samples {
		// Drivers leave entries that they do not fill. Those of the future are from before the clock was set back.
		if s.TimeStamp > since && s.TimeStamp < until && s.TimeStamp >= newest[s.Pid].TimeStamp {
			newest[s.Pid] = s
		}
	}
	for i := range list {
		list[i].Use = ratio(float64(newest[uint32(list[i].PID)].SmUtil))
	}
}
