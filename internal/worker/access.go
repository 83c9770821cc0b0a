package worker

import (
	"slices"

	"github.com/stackscope/stackscope/internal/access"
	"github.com/stackscope/stackscope/internal/collector/gpu/vendors"
	"github.com/stackscope/stackscope/internal/discovery"
)

// openAccess makes what finds out which parts of the machine the worker does not see. Only what it reads can be missing.
func (w *Worker) openAccess() {
	o := &w.opts
	if o.IgnoreAccess {
		return
	}
	ao := access.Options{
		Root: o.HostRoot, Processes: slices.Contains(o.Discover, discovery.SourceProcess), InHostNetwork: w.discovery.InHostNetwork, Logger: o.Logger,
	}
	if slices.Contains(o.Discover, discovery.SourceDocker) {
		ao.Daemon = w.discovery.Daemon
	}
	if o.FakeGPUs == 0 && o.GPUBackends == nil && !slices.Contains(o.GPUVendors, vendors.None) {
		ao.GPUs, ao.Vendors, ao.KernelLog = w.readVendors, o.GPUVendors, w.gpus.KernelLog
	}
	w.access = access.New(ao)
}

// readVendors returns the vendors of which a GPU can be read, and those of which one was read before. ok is false before the first readings.
func (w *Worker) readVendors() (read, known []string, ok bool) {
	statuses, ok := w.gpus.Statuses()
	for i := range statuses {
		s := &statuses[i]
		if known = append(known, s.Vendor); s.Missing == "" {
			read = append(read, s.Vendor)
		}
	}
	return read, known, ok
}
