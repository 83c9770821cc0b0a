package api

import (
	"strings"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// reportedGPUs returns the GPUs of a report; nil: it says nothing of them.
func reportedGPUs(list []wire.GPUReport) []fleet.ReportedGPU {
	if list == nil {
		return nil
	}
	gpus := make([]fleet.ReportedGPU, len(list))
	for i, g := range list {
		gpus[i] = fleet.ReportedGPU{
			Vendor: g.Vendor, Index: g.Index, Chip: g.Chip, Name: g.Name, UUID: g.UUID, PCI: g.PCI, MemoryTotal: g.MemoryTotal, Driver: g.Driver,
			Firmware: g.Firmware, State: g.State, StateMessage: g.Message, Action: g.Action, ActionReason: g.Reason,
			Instances: strings.Join(g.Instances, "\n"), InstancesKnown: g.Instances != nil,
		}
	}
	return gpus
}

func wireGPU(g *fleet.GPU) wire.GPUDevice {
	out := wire.GPUDevice{
		ID: g.ID, ClusterID: g.ClusterID, WorkerID: g.WorkerID, WorkerName: g.WorkerName, Vendor: g.Vendor, Index: g.Index, Chip: g.Chip, Name: g.Name,
		UUID: g.UUID, PCI: g.PCI, Driver: g.Driver, Firmware: g.Firmware, State: g.State, StateMessage: g.StateMessage,
		Action: g.Action, ActionReason: g.ActionReason,
	}
	if g.MemoryTotal > 0 {
		out.Memory = &wire.GPUMemory{Total: g.MemoryTotal}
	}
	if g.InstancesKnown {
		out.Users = make([]wire.GPUUser, len(g.Holders))
		for i, h := range g.Holders {
			out.Users[i] = wire.GPUUser(h)
		}
	}
	return out
}
