// Package fake plays the GPUs of a node: for looking at what stackscope shows without a GPU, and for trying alerts. Its GPUs
// work when the instances do that they are dealt to. A node of eight or more is one as they are found in the field: see faults.
package fake

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// MaxDevices bounds the GPUs of a simulated node.
const MaxDevices = 64

const vendor = "fake"

// User is a model instance that works on the GPUs.
type User struct {
	Instance string
	Load     float64 // 0 to 1
}

// Options configure the GPUs.
type Options struct {
	Devices int // 1 to MaxDevices
	Seed    uint64
	// Users returns the instances on the GPUs, in an order that stays. The GPUs are dealt to them in turn.
	Users func() []User
	// ErrorEvery is the mean time between two errors of the node; 0: 20 minutes.
	ErrorEvery time.Duration
}

// Backend plays the GPUs.
type Backend struct {
	o Options

	faults faults

	mu      sync.Mutex
	rng     *rand.Rand
	devices []device
	last    time.Time
}

var _ gpu.Watcher = (*Backend)(nil)

// New makes the GPUs.
func New(o Options) (*Backend, error) {
	if o.Devices < 1 || o.Devices > MaxDevices {
		return nil, fmt.Errorf("%d simulated GPUs: give 1 to %d", o.Devices, MaxDevices)
	}
	if o.Users == nil {
		o.Users = func() []User { return nil }
	}
	if o.ErrorEvery <= 0 {
		o.ErrorEvery = 20 * time.Minute
	}
	b := &Backend{o: o, faults: faultsOf(o.Devices), rng: rand.New(rand.NewPCG(o.Seed, 0x5eed)), devices: make([]device, o.Devices)}
	for i := range b.devices {
		b.devices[i] = newDevice(b.faults.of(i))
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
	r := gpu.Reading{Devices: make([]gpu.Device, len(b.devices))}
	hands := deal(b.faults.fit(len(b.devices)), users)
	for i := range b.devices {
		var on hand
		if i < len(hands) {
			on = hands[i]
		}
		b.devices[i].step(dt, on, b.rng)
		r.Devices[i] = b.devices[i].device(i, i == len(b.devices)-1, on)
	}
	return r, nil
}

// hand is what was dealt to a GPU.
type hand struct {
	users []User
	// spread: one of them is on other GPUs, too, and talks to itself over the links.
	spread bool
}

func (h hand) load() float64 {
	load := 0.0
	for _, u := range h.users {
		load += min(max(u.Load, 0), 1)
	}
	return min(load, 1)
}

// deal gives each user GPUs that lie side by side, as tensor-parallel engines have them; with more users than GPUs some
// share one.
func deal(devices int, users []User) []hand {
	hands := make([]hand, devices)
	n := len(users)
	if n == 0 {
		return hands
	}
	for i := range hands {
		first := i * n / devices
		last := max(first, (i+1)*n/devices-1)
		if n <= devices {
			last = first
		}
		hands[i].users = users[first : last+1]
		if i > 0 && n <= devices && first == (i-1)*n/devices {
			hands[i].spread, hands[i-1].spread = true, true
		}
	}
	return hands
}

// Watch implements gpu.Watcher. First comes what the driver has to tell of the days before; then faults of applications come
// at random times, the first one soon, so that somebody who looks sees one.
func (b *Backend) Watch(ctx context.Context, report func(gpu.Event)) error {
	event := func(i int, code string, at time.Time) {
		report(gpu.Event{At: at, Vendor: vendor, UUID: uuid(i), PCI: pci(i), Kind: "xid", Code: code, Source: gpu.SourceDriver})
	}
	if i := b.faults.worn; i >= 0 {
		at := time.Now().Add(-wornSince)
		event(i, "94", at) // a memory error that one process has paid for
		event(i, "63", at.Add(2*time.Second))
	}
	// Apart from the GPUs' own, so that how often they are read doesn't change what comes.
	rng := rand.New(rand.NewPCG(b.o.Seed, 0xe44))
	code, wait := "31", b.o.ErrorEvery/100
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		event(rng.IntN(b.faults.fit(len(b.devices))), code, time.Now())
		code = []string{"31", "31", "43"}[rng.IntN(3)]
		wait = time.Duration(rng.ExpFloat64() * float64(b.o.ErrorEvery))
	}
}
