package fake

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

const (
	name      = "Simulated 80GB"
	gib       = 1 << 30
	memory    = 80 * gib
	reserved  = 600 << 20 // used by nobody's process
	coreCount = 16896
	idleWatts = 72.0
	maxWatts  = 700.0
	maxClock  = 1.98e9
	idleClock = 0.345e9
	lanes     = 16
	ambient   = 30.0
	// foreignPID is a process that no instance owns, on the last GPU.
	foreignPID = 1<<22 - 7
	foreign    = 3 * gib
	// notebookPeriod is how long the process on the slice takes from one cell with work to the next, in seconds.
	notebookPeriod = 240
)

// device is the state of one GPU.
type device struct {
	fault                            fault
	age                              float64 // seconds since the start
	busy, temperature, joules, clock float64
	replays, corrected               float64
	links                            [2]link
	throttled                        bool
}

// link counts in bytes.
type link struct{ received, transmitted, errors float64 }

func newDevice(f fault) device {
	c := device{fault: f, temperature: 34, clock: idleClock}
	if f == weak {
		c.corrected = 61
	}
	return c
}

// step lets time go by.
func (c *device) step(dt float64, on hand, rng *rand.Rand) {
	approach := func(v *float64, to, seconds float64) { *v += (to - *v) * (1 - math.Exp(-dt/seconds)) }
	c.age += dt
	wanted := 0.0
	load := on.load()
	if c.fault == sliced {
		load = 0.3 * max(0, math.Sin(2*math.Pi*c.age/notebookPeriod))
	}
	if load > 0 {
		wanted = min(max(load+0.08*rng.NormFloat64(), 0.02), 1)
	}
	approach(&c.busy, wanted, 2)
	perWatt := 0.062
	if c.fault == hot {
		perWatt = 0.125
	}
	approach(&c.temperature, ambient+perWatt*c.watts(), 25)
	c.throttled = c.fault == hot && (c.temperature > 84 || (c.throttled && c.temperature > 80))
	clock := idleClock
	if c.busy > 0.01 {
		clock = maxClock
		if c.throttled {
			clock = 0.7 * maxClock
		}
	}
	approach(&c.clock, clock, 1)
	c.joules += c.watts() * dt
	if on.spread {
		for i := range c.links {
			c.links[i].received += c.busy * 20e9 * dt
			c.links[i].transmitted += c.busy * 19e9 * dt
		}
	}
	c.decay(dt, rng)
}

// decay lets the GPU's faults show.
func (c *device) decay(dt float64, rng *rand.Rand) {
	happens := func(every float64) float64 {
		if rng.Float64() < dt/every {
			return 1
		}
		return 0
	}
	once := happens(6 * 3600) // to every GPU
	switch c.fault {
	case weak:
		once = max(once, happens(90))
	case narrow:
		c.replays += happens(40) * float64(1+rng.IntN(6))
	case frayed:
		c.links[1].errors += happens(25) * float64(1+rng.IntN(9))
	}
	c.corrected += once
}

func (c *device) watts() float64 {
	w := idleWatts + (maxWatts-idleWatts)*0.9*c.busy
	if c.throttled {
		w *= 0.75
	}
	return w
}

// fan returns the speed of the GPU's fan.
func (c *device) fan() float64 {
	if c.fault == hot {
		return 0.22
	}
	return round(min(max(0.3+(c.temperature-40)/50, 0.3), 1))
}

// device returns what the GPU tells about itself.
func (c *device) device(i int, last bool, on hand) gpu.Device {
	d := gpu.Device{
		Identity: gpu.Identity{
			Vendor: vendor, Index: fmt.Sprint(i), Chip: "0", Name: name, UUID: uuid(i), PCI: pci(i),
			Driver: "simulated", Firmware: "simulated",
		},
		Cores:    gpu.Known(coreCount),
		SMActive: gpu.Known(round(0.8 * c.busy)), SMOccupancy: gpu.Known(round(0.3 * c.busy)),
		TensorActive: gpu.Known(round(0.35 * c.busy)), DRAMActive: gpu.Known(round(0.6 * c.busy)),
		Temperature: gpu.Known(math.Round(c.temperature)), MemoryTemperature: gpu.Known(math.Round(c.temperature + 8)),
		PowerUsed: gpu.Known(round(c.watts())), PowerLimit: gpu.Known(maxWatts), Energy: gpu.Known(round(c.joules)),
		MemoryTotal: gpu.Known(memory),
		Clocks: []gpu.Clock{
			{Part: "sm", Now: gpu.Known(math.Round(c.clock/15e6) * 15e6), Max: gpu.Known(maxClock)},
			{Part: "memory", Now: gpu.Known(2.619e9), Max: gpu.Known(2.619e9)},
		},
		Fans:          []gpu.Fan{{Name: "0", Speed: gpu.Known(c.fan())}},
		ThrottleKnown: true, ThrottleReasons: []gpu.Throttle{gpu.ThrottleThermal, gpu.ThrottlePowerCap},
		ECC: []gpu.ECC{
			{Kind: gpu.Corrected, Location: "dram", Count: c.corrected}, {Kind: gpu.Uncorrected, Location: "dram", Count: 0},
		},
		Remapped:        []gpu.Remapped{{Cause: gpu.Corrected, Count: 0}, {Cause: gpu.Uncorrected, Count: 0}},
		RowRemapPending: gpu.Known(0), RowRemapFailed: gpu.Known(0),
		PCIe: gpu.PCIe{
			Replays: gpu.Known(c.replays), Receive: gpu.Known(math.Round(c.busy * 3e8)), Transmit: gpu.Known(math.Round(c.busy * 2e8)),
			Generation: gpu.Known(5), GenerationMax: gpu.Known(5), Width: gpu.Known(lanes), WidthMax: gpu.Known(lanes),
		},
		ProcessesKnown: true,
	}
	for i, l := range c.links {
		d.Links = append(d.Links, gpu.Link{
			Type: "nvlink", Name: fmt.Sprint(i), Up: gpu.Known(1),
			Received: gpu.Known(math.Round(l.received)), Transmitted: gpu.Known(math.Round(l.transmitted)),
			Errors: []gpu.LinkError{{Kind: "crc", Count: l.errors}, {Kind: "replay", Count: math.Floor(l.errors / 4)}},
		})
	}
	if c.throttled {
		d.Throttles = []gpu.Throttle{gpu.ThrottleThermal}
	}
	d.Processes = c.processes(last, on.users)
	used := float64(reserved)
	for _, p := range d.Processes {
		held, _ := p.Memory.Get()
		used += held
	}
	d.MemoryUsed = gpu.Known(used)
	switch c.fault {
	case narrow:
		d.PCIe.Width = gpu.Known(lanes / 2)
	case worn:
		d.ECC[1].Count, d.Remapped[1].Count, d.RowRemapPending = 1, 1, gpu.Known(1)
	}
	if c.fault == sliced { // such GPUs tell no utilization of the whole
		d.Slices = c.slices(i)
		d.Processes[0].Slice = d.Slices[0].UUID
	} else {
		d.Utilization = gpu.Known(round(min(1.2*c.busy, 1)))
	}
	return d
}

// slices cuts the GPU into three, of which the first is in use.
func (c *device) slices(i int) []gpu.Slice {
	part := func(n int, profile string, bytes, held, use float64) gpu.Slice {
		return gpu.Slice{
			Name: fmt.Sprint(n), UUID: fmt.Sprintf("MIG-5eed0000-0000-4000-8000-%06x%06x", i, n), Profile: profile,
			GPUInstance: fmt.Sprint(n + 1), ComputeInstance: "0",
			MemoryTotal: gpu.Known(bytes), MemoryUsed: gpu.Known(held), Utilization: gpu.Known(round(use)),
		}
	}
	const overhead = 38 << 20
	return []gpu.Slice{
		part(0, "3g.40gb", 39.5*gib, foreign+overhead, min(c.busy*7/3, 1)),
		part(1, "2g.20gb", 19.5*gib, overhead, 0),
		part(2, "1g.10gb", 9.75*gib, overhead, 0),
	}
}

func (c *device) processes(last bool, users []User) []gpu.Process {
	var list []gpu.Process
	room := 0.86 * memory
	for k, u := range users {
		list = append(list, gpu.Process{
			PID: foreignPID - 1 - k, Instance: u.Instance, Memory: gpu.Known(math.Round(room / float64(len(users)))),
			Use: gpu.Known(round(c.busy / float64(len(users)))),
		})
	}
	if last {
		list = append(list, gpu.Process{PID: foreignPID, Memory: gpu.Known(foreign), Use: gpu.Known(round(c.busy))})
	}
	return list
}

func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }

func uuid(i int) string { return fmt.Sprintf("GPU-5eed0000-0000-4000-8000-%012x", i) }

func pci(i int) string { return fmt.Sprintf("0000:%02x:00.0", 0x10+i) }
