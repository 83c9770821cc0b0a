// Package access finds what a worker may not see of its machine, by trying it, and says what is lost and what to grant. What the machine
// does not have, and what nothing would be read from, is not missing.
package access

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const (
	// checkEvery is the pause between two checks. A check costs a worker some milliseconds.
	checkEvery = 2 * time.Minute
	// settleTime is how long the first check waits for the first reading of the GPUs and the first answer of the container daemon.
	settleTime = 20 * time.Second
	settleTick = 500 * time.Millisecond
)

// Options say what the worker reads, and how that went.
type Options struct {
	// Root is where the machine's file system is mounted; empty: /.
	Root string
	// Processes says that engines are looked for among the processes.
	Processes bool
	// Daemon returns the address of the container daemon and why the last attempt to connect to it failed; ok is false before the first
	// one. Nil: containers are not asked for.
	Daemon func() (address string, ok bool, err error)
	// InHostNetwork says whether the worker is in the network namespace of process 1. Nil: it is.
	InHostNetwork func() bool
	// GPUs returns the vendors with a GPU that can be read, and those with one that could be before; ok is false before the first readings.
	// Nil: no GPUs are read.
	GPUs func() (read, known []string, ok bool)
	// Vendors are those whose GPUs are read; empty: all.
	Vendors []string
	// KernelLog returns why the kernel log cannot be read; ok is false before it was tried. Nil: it is not read.
	KernelLog func() (ok bool, err error)
	Logger    *slog.Logger // nil: silent
}

// Missing is one kind of access that the worker lacks.
type Missing struct {
	*Kind
	// Seen is what was tried, and how it failed.
	Seen string
}

// Checker checks, from time to time, what is missing.
type Checker struct {
	opts   Options
	logger *slog.Logger
	last   atomic.Pointer[[]Missing]
	labels map[*Kind]exposition.Labels
}

// New makes a Checker. It checks nothing before Run.
func New(o Options) *Checker {
	o.Root = cmp.Or(o.Root, "/")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Checker{opts: o, logger: o.Logger.With(logging.KeyComponent, "access"), labels: map[*Kind]exposition.Labels{}}
	for _, k := range Kinds {
		c.labels[k] = exposition.RenderLabels("access", k.ID)
	}
	return c
}

// Run checks until ctx ends. It logs once what is missing, and each change of that.
func (c *Checker) Run(ctx context.Context) {
	if !c.settle(ctx) {
		return
	}
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	var before []Missing
	for {
		now := c.Check()
		c.last.Store(&now)
		c.tell(before, now)
		before = now
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// settle waits until the worker's own readings have begun and reports whether ctx is still alive.
func (c *Checker) settle(ctx context.Context) bool {
	ticker := time.NewTicker(settleTick)
	defer ticker.Stop()
	until := time.Now().Add(settleTime)
	for !c.settled() && time.Now().Before(until) {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return ctx.Err() == nil
}

func (c *Checker) settled() bool {
	o := &c.opts
	if o.GPUs != nil {
		if _, _, ok := o.GPUs(); !ok {
			return false
		}
	}
	if o.KernelLog != nil {
		if ok, _ := o.KernelLog(); !ok {
			return false
		}
	}
	if o.Daemon != nil {
		if _, ok, _ := o.Daemon(); !ok {
			return false
		}
	}
	return true
}

// tell logs what is missing and was not before, and what no longer is.
func (c *Checker) tell(before, now []Missing) {
	var lost, granted []string
	for _, m := range now {
		if !has(before, m.Kind) {
			lost = append(lost, m.ID+" ("+m.Unseen+": needs "+m.Needs+")")
		}
	}
	for _, m := range before {
		if !has(now, m.Kind) {
			granted = append(granted, m.ID)
		}
	}
	if len(granted) > 0 {
		c.logger.Info("this worker sees more of its machine now", "access", strings.Join(granted, ", "))
	}
	if len(lost) > 0 {
		c.logger.Warn("this worker does not see all of its machine", "missing", strings.Join(lost, "; "), "help", "stackscope doctor, or docs/hardening.md#what-a-worker-needs")
	}
}

func has(list []Missing, k *Kind) bool {
	return slices.ContainsFunc(list, func(m Missing) bool { return m.Kind == k })
}

// Name is the value of label collector.
func (*Checker) Name() string { return "access" }

// Collect emits a sample for each kind that is missing, from memory. It takes no time, so it has no status of its own.
func (c *Checker) Collect(emit func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels)) (took time.Duration, err error) {
	if last := c.last.Load(); last != nil {
		for _, m := range *last {
			emit(&catalog.MissingAccess, "", 1, c.labels[m.Kind])
		}
	}
	return -1, nil
}
