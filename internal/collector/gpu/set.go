package gpu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/pidnamespace"
)

const (
	// DefaultInterval is the time between two readings of a GPU.
	DefaultInterval = time.Second
	// saveEvery is how often the state file is written, if it has changed.
	saveEvery = 5 * time.Second
	// shutdownWait bounds how long Run waits for drivers after its context ends.
	shutdownWait = 900 * time.Millisecond
)

// Options configure a Set.
type Options struct {
	Backends []Backend
	// Interval is the time between two readings; a backend's MinInterval may lengthen it. 0: DefaultInterval.
	Interval time.Duration
	// StatePath is the file that keeps error counts and expected GPUs over restarts; "": memory only.
	StatePath string
	// Expected is how many GPUs the operator declared for the node, 0: not declared. It applies if all GPUs are of one vendor.
	Expected int
	// Root is where the machine's file system is mounted, for the kernel log and the boot id; "": /.
	Root string
	// OnReading is called after each reading, from the sampler's goroutine, and must not block it. The devices are
	// immutable; Energy is filled in with the worker's own sum where a GPU has no counter.
	OnReading func(vendor string, at time.Time, devices []Device)
	Logger    *slog.Logger // nil: silent
}

// Set samples the GPUs of one machine.
type Set struct {
	samplers  []*sampler
	registry  *registry
	file      *stateFile
	expected  int
	root      string
	ownPIDs   bool // this process is in a PID namespace of its own: drivers may report other PIDs
	onReading func(vendor string, at time.Time, devices []Device)
	logger    *slog.Logger
	kernelLog atomic.Pointer[error] // why the kernel log cannot be read, nil in it if it can; nil: not known yet
}

// New makes a Set; sampling begins in Run. A state file that cannot be read is renamed and logged.
func New(o Options) (*Set, error) {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Expected < 0 {
		return nil, fmt.Errorf("gpu: %d expected GPUs: say how many the node has, or 0", o.Expected)
	}
	logger := o.Logger.With(logging.KeyComponent, "gpu")
	s := &Set{registry: newRegistry(logger), expected: o.Expected, root: o.Root, onReading: o.OnReading, logger: logger}
	// Drivers then list processes by the machine's numbers, by the namespace's or not at all, so that none of them can be told.
	s.ownPIDs = pidnamespace.Own(o.Root)
	vendors := map[string]bool{}
	for _, b := range o.Backends {
		switch {
		case b == nil:
			return nil, errors.New("gpu: a backend is nil")
		case b.Vendor() == "" || vendors[b.Vendor()]:
			return nil, fmt.Errorf("gpu: two backends of vendor %q, or one without a vendor", b.Vendor())
		}
		vendors[b.Vendor()] = true
		s.samplers = append(s.samplers, newSampler(s, b, o))
	}
	if len(s.samplers) > 0 {
		s.samplers[0].reportsForSet = true
	}
	s.file = openState(o.StatePath, s.registry, bootID(o.Root))
	return s, nil
}

// Run samples until ctx ends. A driver that hangs does not keep it from returning within a second.
func (s *Set) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, sampler := range s.samplers {
		wg.Go(func() { sampler.run(ctx) })
	}
	if len(s.samplers) > 0 {
		log := &kernelLog{root: s.root, registry: s.registry, logger: s.logger, report: func(err error) { s.kernelLog.Store(&err) }}
		wg.Go(func() { log.run(ctx) })
	}
	wg.Go(func() { s.saveRegularly(ctx) })
	<-ctx.Done()
	lifecycle.WaitWithin(shutdownWait, &wg)
}

// KernelLog returns why the kernel log cannot be read. ok is false before it was tried.
func (s *Set) KernelLog() (ok bool, err error) {
	if p := s.kernelLog.Load(); p != nil {
		return true, *p
	}
	return len(s.samplers) == 0, nil
}

// saveRegularly writes the state file every saveEvery, and once more at the end.
func (s *Set) saveRegularly(ctx context.Context) {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.file.save()
			return
		case <-ticker.C:
			s.file.save()
		}
	}
}

// Collectors returns a collector for each backend, in their order.
func (s *Set) Collectors() []*Collector {
	list := make([]*Collector, len(s.samplers))
	for i, sampler := range s.samplers {
		list[i] = &Collector{name: "gpu_" + sampler.vendor, sampler: sampler}
	}
	return list
}
