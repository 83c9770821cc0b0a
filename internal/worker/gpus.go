package worker

import (
	"cmp"
	"time"

	"github.com/stackscope/stackscope/internal/attribution"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/fake"
	"github.com/stackscope/stackscope/internal/collector/gpu/vendors"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/instances"
)

// gpuBackends returns the given backends, simulated GPUs, or the backends of the vendors.
func (w *Worker) gpuBackends() ([]gpu.Backend, error) {
	o := &w.opts
	switch {
	case o.GPUBackends != nil:
		return o.GPUBackends, nil
	case o.FakeGPUs > 0:
		simulated, err := fake.New(fake.Options{Devices: o.FakeGPUs, Seed: 1, Users: w.simulatedUsers})
		return []gpu.Backend{simulated}, err
	}
	return vendors.Backends(o.GPUVendors, cmp.Or(o.HostRoot, "/"), o.Logger), nil
}

const (
	// busyFor is how long after its last progress an engine keeps simulated GPUs busy. It is longer than the pause between two reads of
	// an engine that nobody scrapes.
	busyFor       = 45 * time.Second
	simulatedLoad = 0.75
)

// simulatedUsers returns the running instances, which use the simulated GPUs.
func (w *Worker) simulatedUsers() []fake.User {
	var users []fake.User
	for _, in := range w.instances.Instances() {
		if in.Status().State != fleet.InstanceRunning {
			continue
		}
		u := fake.User{Instance: in.Key()}
		if time.Since(in.LastProgress()) < busyFor {
			u.Load = simulatedLoad
		}
		users = append(users, u)
	}
	return users
}

// gpuShares implements instances.GPUs.
type gpuShares struct{ *attribution.Attribution }

// Presence implements instances.GPUs.
func (s gpuShares) Presence(key string) instances.GPUPresence {
	return instances.GPUPresence(s.Attribution.Presence(key))
}
