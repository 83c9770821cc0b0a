// Package fake plays the cards of a node: for looking at what stackscope shows without a card, and for trying alerts. Its cards
// work when the instances do that they are dealt to; one of them throttles, and now and then one reports an error.
package fake

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// MaxCards bounds the cards of a simulated node.
const MaxCards = 64

const (
	vendor    = "fake"
	name      = "Simulated 80GB"
	gib       = 1 << 30
	memory    = 80 * gib
	reserved  = 600 << 20 // used by nobody's process
	coreCount = 16896
	idleWatts = 72.0
	maxWatts  = 700.0
	maxClock  = 1.98e9
	idleClock = 0.345e9
	// foreignPID is a process that no instance owns, on the last card.
	foreignPID = 1<<22 - 7
	foreign    = 3 * gib
)

// User is a model instance that works on the cards.
type User struct {
	Instance string
	Load     float64 // 0 to 1
}

// Options configure the cards.
type Options struct {
	Cards int // 1 to MaxCards
	Seed  uint64
	// Users returns the instances on the cards, in an order that stays. The cards are dealt to them in turn.
	Users func() []User
	// ErrorEvery is the mean time between two errors of the node; 0: five minutes.
	ErrorEvery time.Duration
}

// Backend plays the cards.
type Backend struct {
	o Options

	mu    sync.Mutex
	rng   *rand.Rand
	cards []card
	last  time.Time
}

// card is the state of one card.
type card struct {
	busy, temperature, joules, clock float64
	replays, corrected               float64
	received, transmitted            float64
	throttled                        bool
}

var _ gpu.Watcher = (*Backend)(nil)

// New makes the cards.
func New(o Options) (*Backend, error) {
	if o.Cards < 1 || o.Cards > MaxCards {
		return nil, fmt.Errorf("%d simulated cards: give 1 to %d", o.Cards, MaxCards)
	}
	if o.Users == nil {
		o.Users = func() []User { return nil }
	}
	if o.ErrorEvery <= 0 {
		o.ErrorEvery = 5 * time.Minute
	}
	b := &Backend{o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x5eed)), cards: make([]card, o.Cards)}
	for i := range b.cards {
		b.cards[i] = card{temperature: 34, clock: idleClock}
	}
	return b, nil
}

// Vendor implements gpu.Backend.
func (b *Backend) Vendor() string { return vendor }

// MinInterval implements gpu.Backend.
func (b *Backend) MinInterval() time.Duration { return 0 }

// Close implements gpu.Backend.
func (b *Backend) Close() error { return nil }

// Read implements gpu.Backend. It never fails.
func (b *Backend) Read(context.Context) (gpu.Reading, error) {
	users := b.o.Users()
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	dt := 1.0
	if !b.last.IsZero() {
		dt = min(max(now.Sub(b.last).Seconds(), 0), 60)
	}
	b.last = now
	r := gpu.Reading{Devices: make([]gpu.Device, len(b.cards))}
	for i := range b.cards {
		on := dealt(i, len(b.cards), users)
		load := 0.0
		for _, u := range on {
			load += min(max(u.Load, 0), 1)
		}
		b.cards[i].step(dt, min(load, 1), i == b.hot(), b.rng)
		r.Devices[i] = b.device(i, on)
	}
	return r, nil
}

// hot is the card whose cooling is bad.
func (b *Backend) hot() int { return min(3, len(b.cards)-1) }

// dealt returns the users of a card. Each user gets cards that lie side by side, as tensor-parallel engines do; with more
// users than cards some share one.
func dealt(i, cards int, users []User) []User {
	n := len(users)
	if n == 0 {
		return nil
	}
	first := i * n / cards
	last := max(first, (i+1)*n/cards-1)
	if n <= cards {
		last = first
	}
	return users[first : last+1]
}

// step lets time go by.
func (c *card) step(dt, load float64, hot bool, rng *rand.Rand) {
	approach := func(v *float64, to, seconds float64) { *v += (to - *v) * (1 - math.Exp(-dt/seconds)) }
	wanted := 0.0
	if load > 0 {
		wanted = min(max(load+0.08*rng.NormFloat64(), 0.02), 1)
	}
	approach(&c.busy, wanted, 2)
	ambient, perWatt := 30.0, 0.062
	if hot {
		perWatt = 0.125
	}
	approach(&c.temperature, ambient+perWatt*c.watts(), 25)
	c.throttled = hot && (c.temperature > 84 || (c.throttled && c.temperature > 80))
	clock := idleClock
	if c.busy > 0.01 {
		clock = maxClock
		if c.throttled {
			clock = 0.7 * maxClock
		}
	}
	approach(&c.clock, clock, 1)
	c.joules += c.watts() * dt
	c.received += c.busy * 40e9 * dt
	c.transmitted += c.busy * 38e9 * dt
	if rng.Float64() < dt/3600 {
		c.corrected++
	}
}

func (c *card) watts() float64 {
	w := idleWatts + (maxWatts-idleWatts)*0.9*c.busy
	if c.throttled {
		w *= 0.75
	}
	return w
}

func (b *Backend) device(i int, on []User) gpu.Device {
	c := &b.cards[i]
	d := gpu.Device{
		Identity: gpu.Identity{
			Vendor: vendor, Index: fmt.Sprint(i), Chip: "0", Name: name, UUID: uuid(i), PCI: pci(i),
			Driver: "simulated", Firmware: "simulated",
		},
		Cores:       gpu.Known(coreCount),
		Utilization: gpu.Known(round(min(1.2*c.busy, 1))), SMActive: gpu.Known(round(0.8 * c.busy)), SMOccupancy: gpu.Known(round(0.3 * c.busy)),
		TensorActive: gpu.Known(round(0.35 * c.busy)), DRAMActive: gpu.Known(round(0.6 * c.busy)),
		Temperature: gpu.Known(math.Round(c.temperature)), MemoryTemperature: gpu.Known(math.Round(c.temperature + 8)),
		PowerUsed: gpu.Known(round(c.watts())), PowerLimit: gpu.Known(maxWatts), Energy: gpu.Known(round(c.joules)),
		MemoryTotal: gpu.Known(memory),
		Clocks: []gpu.Clock{
			{Part: "sm", Now: gpu.Known(math.Round(c.clock/15e6) * 15e6), Max: gpu.Known(maxClock)},
			{Part: "memory", Now: gpu.Known(2.619e9), Max: gpu.Known(2.619e9)},
		},
		ThrottleKnown: true, ThrottleReasons: []gpu.Throttle{gpu.ThrottleThermal, gpu.ThrottlePowerCap},
		ECC: []gpu.ECC{
			{Kind: gpu.Corrected, Location: "dram", Count: c.corrected}, {Kind: gpu.Uncorrected, Location: "dram", Count: 0},
		},
		Remapped:        []gpu.Remapped{{Cause: gpu.Corrected, Count: 0}, {Cause: gpu.Uncorrected, Count: 0}},
		RowRemapPending: gpu.Known(0), RowRemapFailed: gpu.Known(0),
		PCIe: gpu.PCIe{
			Replays: gpu.Known(c.replays), Receive: gpu.Known(math.Round(c.busy * 3e8)), Transmit: gpu.Known(math.Round(c.busy * 2e8)),
			Generation: gpu.Known(5), GenerationMax: gpu.Known(5), Width: gpu.Known(16), WidthMax: gpu.Known(16),
		},
		Links: []gpu.Link{{
			Type: "nvlink", Name: "0", Up: gpu.Known(1), Received: gpu.Known(math.Round(c.received)), Transmitted: gpu.Known(math.Round(c.transmitted)),
			Errors: []gpu.LinkError{{Kind: "replay", Count: 0}},
		}},
		ProcessesKnown: true,
	}
	if c.throttled {
		d.Throttles = []gpu.Throttle{gpu.ThrottleThermal}
	}
	d.Processes = processes(c, i == len(b.cards)-1, on)
	used := float64(reserved)
	for _, p := range d.Processes {
		held, _ := p.Memory.Get()
		used += held
	}
	d.MemoryUsed = gpu.Known(used)
	return d
}

func processes(c *card, last bool, on []User) []gpu.Process {
	var list []gpu.Process
	room := 0.86 * memory
	for k, u := range on {
		list = append(list, gpu.Process{
			PID: foreignPID - 1 - k, Instance: u.Instance, Memory: gpu.Known(math.Round(room / float64(len(on)))),
			Use: gpu.Known(round(c.busy / float64(len(on)))),
		})
	}
	if last {
		list = append(list, gpu.Process{PID: foreignPID, Memory: gpu.Known(foreign), Use: gpu.Known(0)})
	}
	return list
}

func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }

func uuid(i int) string { return fmt.Sprintf("GPU-5eed0000-0000-4000-8000-%012x", i) }

func pci(i int) string { return fmt.Sprintf("0000:%02x:00.0", 0x10+i) }

// Watch implements gpu.Watcher: errors come at random times, the first one soon, so that somebody who looks sees one.
func (b *Backend) Watch(ctx context.Context, report func(gpu.Event)) error {
	wait := b.o.ErrorEvery / 10
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		b.mu.Lock()
		i := b.rng.IntN(len(b.cards))
		code := []string{"31", "31", "43", "94"}[b.rng.IntN(4)]
		wait = time.Duration(b.rng.ExpFloat64() * float64(b.o.ErrorEvery))
		b.mu.Unlock()
		report(gpu.Event{At: time.Now(), Vendor: vendor, UUID: uuid(i), PCI: pci(i), Kind: "xid", Code: code, Source: gpu.SourceDriver})
	}
}
