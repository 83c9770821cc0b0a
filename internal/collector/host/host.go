// Package host samples the machine that a worker runs on: operating system, kernel, uptime, CPU, memory, filesystems, load,
// swap, pressure, disks, networks and InfiniBand. Samples are taken on a timer and served from memory, so a hung filesystem
// never delays a scrape.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/procfs"

	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const (
	// DefaultInterval is the time between two samples.
	DefaultInterval = 5 * time.Second
	// rareEvery is how many intervals pass between two samples of what seldom changes, such as the kernel's version.
	rareEvery = 60
	// lateAfter and staleAfter are how many intervals old a sample may be before its collector counts as failed, and before
	// it is no longer exported.
	lateAfter  = 3
	staleAfter = 12
	// readTimeout bounds one sample. System calls that cannot be interrupted may take longer.
	readTimeout = 10 * time.Second
)

// Options configure the samplers.
type Options struct {
	// Root is where the machine's file system is mounted; empty: /. It is another path in a container that has the machine
	// at, say, /host.
	Root     string
	Interval time.Duration // 0: DefaultInterval
	Logger   *slog.Logger  // nil: silent

	usage usageFunc // tests replace it
}

// Host samples one machine.
type Host struct {
	collectors []*Collector
}

// New makes the samplers. They begin in Run.
func New(o Options) *Host {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.usage == nil {
		o.usage = usage
	}
	h := &Host{}
	if runtime.GOOS != "linux" {
		o.Logger.Info("host metrics need Linux: this machine exports none", logging.KeyComponent, "host")
		return h
	}
	r := newHostFS(o.Root)
	add := func(name string, every int, read readFunc) {
		h.collectors = append(h.collectors, &Collector{
			name: name, interval: time.Duration(every) * o.Interval, read: read,
			logger: o.Logger.With(logging.KeyComponent, "host", "collector", name),
		})
	}
	add("os", rareEvery, r.readOS)
	add("kernel", rareEvery, r.readKernel)
	add("uptime", 1, r.readUptime)
	add("cpu", 1, newCPUReader(r).read)
	add("memory", 1, r.readMemory)
	add("filesystem", 1, newFilesystemReader(r, o.usage).read)
	add("load", 1, r.readLoad)
	add("swap", 1, r.readSwap)
	add("pressure", 1, newPressureReader(r).read)
	add("disk", 1, newDiskReader(r).read)
	add("network", 1, newNetworkReader(r).read)
	add("infiniband", 1, newInfiniBandReader(r).read)
	return h
}

// Run samples until ctx ends. It returns although a sampler hangs in a system call.
func (h *Host) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, c := range h.collectors {
		wg.Go(func() { c.run(ctx) })
	}
	<-ctx.Done()
	lifecycle.WaitWithin(time.Second, &wg)
}

// Collectors returns the samplers in the order in which their metrics are exported.
func (h *Host) Collectors() []*Collector { return h.collectors }

// sample is one sample of a metric.
type sample struct {
	metric *catalog.Metric
	value  float64
	labels exposition.Labels // rendered when the sample is taken, not at each scrape
}

// reading is what a sampler found. It is immutable.
type reading struct {
	at      time.Time
	took    time.Duration
	samples []sample
	err     error
}

// readFunc takes a sample. It returns what could be read, and an error about the rest. errAbsent means that the machine has
// nothing of the kind, for example no InfiniBand.
type readFunc func(context.Context) ([]sample, error)

// Collector is one sampler.
type Collector struct {
	name     string
	interval time.Duration
	read     readFunc
	logger   *slog.Logger
	last     atomic.Pointer[reading]
}

// Name is the value of label collector.
func (c *Collector) Name() string { return c.name }

// Collect calls emit for each sample of the last reading, one metric after the other; it never waits. It returns how long
// the reading took, negative if there was none yet or the machine has nothing of the kind, and what was wrong with it.
func (c *Collector) Collect(emit func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels)) (took time.Duration, err error) {
	last := c.last.Load()
	if last == nil {
		return -1, nil
	}
	age := time.Since(last.at)
	if age <= staleAfter*c.interval {
		for _, s := range last.samples {
			emit(s.metric, "", s.value, s.labels)
		}
	}
	if age > lateAfter*c.interval {
		return last.took, fmt.Errorf("the last sample is %s old", age.Round(time.Second))
	}
	return last.took, last.err
}

func (c *Collector) run(ctx context.Context) {
	ticker := time.NewTicker(c.interval)
	defer ticker.Stop()
	was := ""
	for ctx.Err() == nil {
		now := ""
		if err := c.sample(ctx); err != nil && ctx.Err() == nil {
			now = err.Error()
		}
		if now != was {
			if now != "" {
				c.logger.Warn("host metrics cannot be read completely", "error", now)
			} else {
				c.logger.Info("host metrics are read again")
			}
			was = now
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

func (c *Collector) sample(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	start := time.Now()
	samples, err := c.readSafely(ctx)
	if errors.Is(err, errAbsent) {
		c.last.Store(nil)
		return nil
	}
	c.last.Store(&reading{at: time.Now(), took: time.Since(start), samples: samples, err: err})
	return err
}

// readSafely reads and turns a panic into an error: procfs has parsers that panic on a malformed file.
func (c *Collector) readSafely(ctx context.Context) (samples []sample, err error) {
	defer func() {
		if p := recover(); p != nil {
			samples, err = nil, fmt.Errorf("collector %s panicked: %v", c.name, p)
		}
	}()
	return c.read(ctx)
}

// hostFS reads files of the machine below its root.
type hostFS struct {
	root string
	open openFunc
}

func newHostFS(root string) *hostFS { return &hostFS{root: root, open: openFile} }

// procfs returns the machine's /proc. It is opened at each sample, because it may not be mounted yet when the worker starts.
func (r *hostFS) procfs() (procfs.FS, error) { return procfs.NewFS(r.path("proc")) }

// joinErrors puts errors on one line: the first 8, and how many more there are.
func joinErrors(errs []error) error {
	const most = 8
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	texts := make([]string, 0, most+1)
	for _, err := range errs[:min(len(errs), most)] {
		texts = append(texts, err.Error())
	}
	if more := len(errs) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(texts, "; "))
}

// errAbsent means that the machine has nothing of the kind, which is no failure.
var errAbsent = errors.New("the machine has none")

// percent is the share of part in whole, 0 to 100. As in GPUStack, the ratio is rounded to six digits.
func percent(part, whole float64) float64 { return math.Round(part/whole*1e6) / 1e4 }
