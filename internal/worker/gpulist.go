package worker

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/attribution"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/instances"
)

// gpuList is what reports say of the worker's GPUs.
type gpuList struct {
	set       *gpu.Set
	shares    *attribution.Attribution
	instances *instances.Manager
	onChange  func() // nil: nobody is told

	mu   sync.Mutex
	last []fleet.ReportedGPU
}

// current returns the GPUs, or nil while they are not known.
func (l *gpuList) current() []fleet.ReportedGPU {
	statuses, known := l.set.Statuses()
	if !known {
		return nil
	}
	names := l.instances.NamesByKey()
	list := make([]fleet.ReportedGPU, 0, len(statuses))
	for i := range statuses {
		if g, ok := l.reported(&statuses[i], names); ok {
			list = append(list, g)
		}
	}
	return list
}

// reported returns false for a GPU without a number.
func (l *gpuList) reported(s *gpu.Status, names map[string][]string) (g fleet.ReportedGPU, ok bool) {
	index, indexErr := strconv.Atoi(s.Index)
	chip, chipErr := strconv.Atoi(s.Chip)
	if indexErr != nil || chipErr != nil {
		return g, false
	}
	g = fleet.ReportedGPU{
		Vendor: s.Vendor, Index: index, Chip: chip, Name: s.Name, UUID: s.UUID, PCI: s.PCI, Driver: s.Driver, Firmware: s.Firmware,
		State: fleet.GPUPresent, StateMessage: s.Missing,
	}
	if s.Missing != "" {
		g.State = fleet.GPUMissing
	}
	if s.Action != gpu.ActionNone {
		g.Action, g.ActionReason = string(s.Action), s.Reason
	}
	if total, ok := s.MemoryTotal.Get(); ok {
		g.MemoryTotal = int64(total)
	}
	var holders []string
	holders, g.InstancesKnown = l.shares.Holders(s.Identity)
	var used []string
	for _, key := range holders {
		used = append(used, names[key]...)
	}
	slices.Sort(used)
	g.Instances = strings.Join(used, "\n")
	return g, true
}

// observe takes a reading of GPUs and tells whether the list has changed. Reasons, which may change with each reading, wait for the next report.
func (l *gpuList) observe(vendor string, at time.Time, devices []gpu.Device) {
	l.shares.Observe(vendor, at, devices)
	if l.onChange == nil {
		return
	}
	now := l.current()
	for i := range now {
		now[i].StateMessage, now[i].ActionReason = "", ""
	}
	l.mu.Lock()
	changed := now != nil && !slices.Equal(now, l.last)
	l.last = now
	l.mu.Unlock()
	if changed {
		l.onChange()
	}
}
