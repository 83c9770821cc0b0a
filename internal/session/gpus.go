package session

import (
	"log/slog"
	"slices"
	"sync"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// gpuFilter omits GPUs from reports if the server would refuse them, because it would refuse the whole report.
type gpuFilter struct {
	logger *slog.Logger

	mu     sync.Mutex
	logged map[string]bool // faults
}

// maxLoggedGPUFaults bounds the faults of GPUs that are logged.
const maxLoggedGPUFaults = 16

// report returns what a report says of the worker's GPUs; nil: nothing. rename returns the reported name of an instance, or "".
func (f *gpuFilter) report(gpus []fleet.ReportedGPU, rename func(instance string) string) []wire.GPUReport {
	if gpus == nil {
		return nil
	}
	out := make([]wire.GPUReport, 0, len(gpus))
	for _, g := range gpus {
		names := g.InstanceNames()
		g.Instances = ""
		fault := fleet.CheckGPU(&g)
		if fault == nil && len(out) == fleet.MaxGPUs {
			fault = &fleet.Fault{Field: "gpus", Detail: "are more than a worker may have"}
		}
		if fault != nil {
			f.log(&g, fault)
			continue
		}
		r := wire.GPUReport{
			Vendor: g.Vendor, Index: g.Index, Chip: g.Chip, Name: g.Name, UUID: g.UUID, PCI: g.PCI, MemoryTotal: g.MemoryTotal, Driver: g.Driver,
			Firmware: g.Firmware, State: g.State, Message: g.StateMessage, Action: g.Action, Reason: g.ActionReason,
		}
		if g.InstancesKnown {
			r.Instances = []string{}
			for _, name := range names {
				if as := rename(name); as != "" && len(r.Instances) < fleet.MaxGPUInstances && !slices.Contains(r.Instances, as) {
					r.Instances = append(r.Instances, as)
				}
			}
		}
		out = append(out, r)
	}
	return out
}

func (f *gpuFilter) log(g *fleet.ReportedGPU, fault *fleet.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := fault.String()
	if f.logged[text] || len(f.logged) >= maxLoggedGPUFaults {
		return
	}
	if f.logged == nil {
		f.logged = map[string]bool{}
	}
	f.logged[text] = true
	f.logger.Warn("GPU is left out of the reports, because the server would refuse the whole report", "vendor", g.Vendor, "index", g.Index, "fault", text)
}
