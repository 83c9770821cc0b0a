// Package attribution assigns GPU memory, GPU time and GPU energy to model instances: it joins the processes that a driver
// lists for a GPU with the instances that own these processes.
package attribution

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/exposition"
)

const (
	// staleAfter is how old a GPU's last reading may be. Tools of some vendors take more than ten seconds for one.
	staleAfter = 30 * time.Second
	// forgetAfter is how long an instance that holds nothing keeps its energy counters.
	forgetAfter = 10 * time.Minute
	// maxDevices bounds the GPUs of a node, maxUses the instances on one of them.
	maxDevices = 1024
	maxUses    = 1024
	// busyFrom is the utilization from which a GPU counts as busy. Drivers report a few percent for a GPU that only
	// holds memory.
	busyFrom = 0.05
)

// Owner returns the key of the instance that owns a process.
type Owner func(p gpu.Process) (instance string, ok bool)

// Attribution joins GPUs and instances. It is safe for concurrent use.
type Attribution struct {
	owner Owner

	mu       sync.Mutex
	devices  map[deviceKey]*device
	readings map[string]uint64 // counted, by vendor
}

// New makes an Attribution. owner is asked for each process of each reading and must not wait.
func New(owner Owner) *Attribution {
	return &Attribution{owner: owner, devices: map[deviceKey]*device{}, readings: map[string]uint64{}}
}

type deviceKey struct{ vendor, index, chip, uuid string }

// device is the state of one GPU as of its last reading.
type device struct {
	key     deviceKey
	reading uint64 // number of its vendor's last reading that it was in
	at      time.Time
	labels  exposition.Labels

	energy float64 // the GPU's counter at the last reading
	counts bool    // whether it has one

	known                  bool // whether the driver lists its processes
	allocated, unaccounted gpu.Value
	uses                   map[string]*use // by instance
}

// use is an instance's share of a GPU.
type use struct {
	at           time.Time
	memory, busy gpu.Value
	here         bool // in the last reading
	working      bool
	joules       float64
	metered      bool // whether joules were ever measured

	// labels are rendered once for the instance labels that they begin with.
	instance, labels exposition.Labels
}

func (u *use) render(instance, device exposition.Labels) exposition.Labels {
	if u.labels == "" || u.instance != instance {
		u.instance, u.labels = instance, instance.With(device)
	}
	return u.labels
}

// held is what the processes of one instance, or all of a GPU, use in one reading.
type held struct {
	memory, busy float64
	memoryKnown  bool
	busyKnown    bool
}

// Observe takes a reading of a vendor's GPUs. It has the signature of gpu.Options.OnReading.
func (a *Attribution) Observe(vendor string, at time.Time, devices []gpu.Device) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.readings[vendor]++
	for i := range devices {
		d := &devices[i]
		key := deviceKey{vendor, d.Index, d.Chip, d.UUID}
		c, ok := a.devices[key]
		if !ok {
			if len(a.devices) >= maxDevices {
				continue
			}
			c = &device{key: key, labels: gpu.Labels(d.Identity), uses: map[string]*use{}}
			a.devices[key] = c
		}
		c.reading = a.readings[vendor]
		c.observe(at, d, a.owner)
	}
	for key, c := range a.devices {
		if at.Sub(c.at) > forgetAfter {
			delete(a.devices, key)
		}
	}
}

func (c *device) observe(at time.Time, d *gpu.Device, owner Owner) {
	spent := c.spent(d)
	c.at, c.known = at, d.ProcessesKnown && !d.Lost
	c.allocated, c.unaccounted = gpu.Value{}, gpu.Value{}
	for name, u := range c.uses {
		u.memory, u.busy, u.here, u.working = gpu.Value{}, gpu.Value{}, false, false
		if at.Sub(u.at) > forgetAfter {
			delete(c.uses, name)
		}
	}
	if !c.known {
		return
	}
	owned, all := split(d.Processes, owner)
	for name, h := range owned {
		u, ok := c.uses[name]
		if !ok {
			if len(c.uses) >= maxUses {
				continue
			}
			u = &use{}
			c.uses[name] = u
		}
		u.at, u.here = at, true
		if h.memoryKnown {
			u.memory = gpu.Known(h.memory)
		}
		if h.busyKnown {
			u.busy = gpu.Known(min(h.busy, 1))
		}
		u.working = works(d, h, len(owned) == 1)
		if share, ok := h.share(all); ok && c.counts {
			u.joules += spent * share
			u.metered = true
		}
	}
	c.account(d, owned)
}

// spent is the energy since the reading before.
func (c *device) spent(d *gpu.Device) float64 {
	now, ok := d.Energy.Get()
	was, had := c.energy, c.counts
	c.energy, c.counts = now, ok
	if !ok || !had || now < was {
		return 0
	}
	return now - was
}

// account splits the used memory into that of known instances and the rest. The sum is what the driver says is used.
func (c *device) account(d *gpu.Device, owned map[string]held) {
	allocated := 0.0
	for _, h := range owned {
		if !h.memoryKnown {
			return // a part of the sum is not known
		}
		allocated += h.memory
	}
	used, ok := d.MemoryUsed.Get()
	if ok {
		// Drivers count a process' pages and the GPU's total at different moments.
		allocated = min(allocated, used)
		c.unaccounted = gpu.Known(used - allocated)
	}
	c.allocated = gpu.Known(allocated)
}

// works reports whether an instance is busy on the GPU: by its own share where it is measured, else by the GPU's utilization
// if no other known instance uses the GPU.
func works(d *gpu.Device, h held, alone bool) bool {
	if h.busyKnown {
		return h.busy >= busyFrom
	}
	busy, ok := d.Utilization.Get()
	return ok && alone && busy >= busyFrom
}

// split sums a GPU's processes by instance and in total. A driver may list a process twice: as a compute and as a graphics
// process.
func split(processes []gpu.Process, owner Owner) (owned map[string]held, all held) {
	owned = map[string]held{}
	all.memoryKnown = true
	measured := slices.ContainsFunc(processes, func(p gpu.Process) bool { _, ok := p.Use.Get(); return ok })
	all.busyKnown = measured
	for i, p := range processes {
		if slices.ContainsFunc(processes[:i], func(q gpu.Process) bool { return q.PID == p.PID && q.Slice == p.Slice && q.Instance == p.Instance }) {
			continue
		}
		memory, memoryKnown := p.Memory.Get()
		busy, _ := p.Use.Get()
		all.memory += memory
		all.memoryKnown = all.memoryKnown && memoryKnown
		all.busy += busy
		name, ok := owner(p)
		if !ok {
			continue
		}
		h, had := owned[name]
		h.memory += memory
		h.memoryKnown = memoryKnown && (h.memoryKnown || !had)
		// A driver that measures use lists nothing for a process that did none.
		h.busy, h.busyKnown = h.busy+busy, measured
		owned[name] = h
	}
	return owned, all
}

// share is the part of the GPU's energy that is allocated to h: by utilization where it is measured and above 0, else by
// memory.
func (h held) share(all held) (float64, bool) {
	switch {
	case all.busyKnown && all.busy > 0:
		return h.busy / all.busy, true
	case all.memoryKnown && all.memory > 0:
		return h.memory / all.memory, true
	}
	return 0, false
}

// Presence says what the GPUs show of an instance.
type Presence struct {
	// Known: some GPU's driver lists its processes.
	Known bool
	// Holds: processes of the instance hold GPU memory. Busy: they compute.
	Holds, Busy bool
}

// Presence returns what the GPUs show of an instance now.
func (a *Attribution) Presence(instance string) Presence {
	a.mu.Lock()
	defer a.mu.Unlock()
	var p Presence
	now := time.Now()
	for _, c := range a.devices {
		if !c.known || !a.current(c, now) {
			continue
		}
		p.Known = true
		if u, ok := c.uses[instance]; ok && u.here {
			p.Holds = true
			p.Busy = p.Busy || u.working
		}
	}
	return p
}

// current says that a GPU was in its vendor's last reading and that this reading is recent. A GPU that is no longer read
// counts for nothing: another may have its index by now.
func (a *Attribution) current(c *device, now time.Time) bool {
	return c.reading == a.readings[c.key.vendor] && now.Sub(c.at) <= staleAfter
}

type emitFunc = func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels)

// fresh returns the GPUs with a current reading, in order.
func (a *Attribution) fresh() []*device {
	now := time.Now()
	list := make([]*device, 0, len(a.devices))
	for _, c := range a.devices {
		if a.current(c, now) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(x, y *device) int {
		return cmp.Or(cmp.Compare(x.key.vendor, y.key.vendor), cmp.Compare(len(x.key.index), len(y.key.index)),
			cmp.Compare(x.key.index, y.key.index), cmp.Compare(x.key.chip, y.key.chip))
	})
	return list
}

// Name is the value of label collector.
func (a *Attribution) Name() string { return "gpu_attribution" }

// Collect emits the attributed and the unattributed memory of each GPU whose driver lists processes.
// It reads nothing, so it has no collector status.
func (a *Attribution) Collect(emit emitFunc) (took time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	devices := a.fresh()
	each := func(m *catalog.Metric, value func(*device) gpu.Value) {
		for _, c := range devices {
			if v, ok := value(c).Get(); ok {
				emit(m, "", v, c.labels)
			}
		}
	}
	each(&catalog.GRAMAllocated, func(c *device) gpu.Value { return c.allocated })
	each(&catalog.GPUMemoryUnaccounted, func(c *device) gpu.Value { return c.unaccounted })
	return -1, nil
}

// CollectInstance emits an instance's share of each GPU, with the labels of the instance before those of the GPU.
func (a *Attribution) CollectInstance(instance string, emit emitFunc, labels exposition.Labels) {
	a.mu.Lock()
	defer a.mu.Unlock()
	devices := a.fresh()
	each := func(m *catalog.Metric, value func(*device, *use) gpu.Value) {
		for _, c := range devices {
			u, ok := c.uses[instance]
			if !ok {
				continue
			}
			if v, ok := value(c, u).Get(); ok {
				emit(m, "", v, u.render(labels, c.labels))
			}
		}
	}
	each(&catalog.InstanceGPUMemory, func(_ *device, u *use) gpu.Value { return u.memory })
	each(&catalog.InstanceGPUUse, func(_ *device, u *use) gpu.Value { return u.busy })
	each(&catalog.InstanceGPUEnergy, func(_ *device, u *use) gpu.Value {
		if !u.metered {
			return gpu.Value{}
		}
		return gpu.Known(u.joules)
	})
}
