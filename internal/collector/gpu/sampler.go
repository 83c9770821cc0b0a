package gpu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
)

const (
	// lateAfter and staleAfter are how many intervals old a reading may be before its collector counts as failed, and
	// before it is no longer exported.
	lateAfter  = 3
	staleAfter = 12
	// hangAfter is how long a Read may take before the driver counts as hanging; toolHangAfter is the same for backends that
	// run a command-line tool.
	hangAfter     = 5 * time.Second
	toolHangAfter = 15 * time.Second
	// absentRetry is the pause between two readings of a vendor of which the machine has no GPU.
	absentRetry = time.Minute
	// maxGap is how many intervals a reading of power or throttling may be extrapolated over. After a longer gap, a hang or a
	// suspended machine, the sum misses the rest: too low is better than guessed.
	maxGap = 3
	// recoveredAfter is how long readings must succeed before a failure counts as over.
	recoveredAfter = time.Minute
	// maxLogged bounds the failures that are remembered as logged.
	maxLogged = 32
)

// sampler reads one backend. Its fields from builder on belong to the goroutine of run.
type sampler struct {
	set           *Set
	backend       Backend
	vendor        string
	interval      time.Duration
	deadline      time.Duration
	reportsForSet bool // it reports for the set when there is no GPU at all
	logger        *slog.Logger
	page          atomic.Pointer[page]

	builder           builder
	meters            map[string]*meters // by GPU id
	last              lastReading
	err               error
	absent            bool
	hung              bool
	retryAt           time.Time
	logged            map[string]bool
	failedAt          time.Time // of the last failure
	watching          bool
	loggedForeignPIDs bool // it was logged that processes cannot be attributed
	watch             sync.WaitGroup
}

// lastReading is the last reading that was recorded.
type lastReading struct {
	at      time.Time
	took    time.Duration
	devices []Device
	ids     []string
}

// result is what a Read gave.
type result struct {
	reading Reading
	err     error
	took    time.Duration
}

func newSampler(set *Set, b Backend, o Options) *sampler {
	s := &sampler{
		set: set, backend: b, vendor: b.Vendor(), interval: max(o.Interval, b.MinInterval()), deadline: hangAfter,
		logger: o.Logger.With(logging.KeyComponent, "gpu", "vendor", b.Vendor()),
		meters: map[string]*meters{}, logged: map[string]bool{},
	}
	if b.MinInterval() > 0 {
		s.deadline = toolHangAfter
	}
	return s
}

// maxAge is how old a reading may be that is overdue by a number of intervals. A Read may take up to the deadline.
func (s *sampler) maxAge(intervals time.Duration) time.Duration {
	return max(intervals*s.interval, s.interval+s.deadline)
}

// run samples until ctx ends. It never waits for the backend: at most one Read is under way, in a goroutine of its own.
func (s *sampler) run(ctx context.Context) {
	results := make(chan result, 1)
	busy := false
	read := func() {
		busy = true
		go func() { results <- s.read(ctx) }()
	}
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	hang := time.NewTimer(s.deadline)
	defer hang.Stop()
	seen := s.set.registry.changeCount()
	read()
	for {
		select {
		case <-ctx.Done():
			s.stop(busy, results)
			return
		case r := <-results:
			busy = false
			hang.Stop()
			s.handleResult(ctx, r)
		case <-hang.C:
			s.recordHang(fmt.Errorf("no answer for %s", s.deadline))
		case <-ticker.C:
			if !busy && !time.Now().Before(s.retryAt) {
				hang.Reset(s.deadline)
				read()
			}
			if now := s.set.registry.changeCount(); (now != seen || s.reportsAbsence()) && s.page.Load() != nil {
				seen = now
				s.logError(s.publish())
			}
		}
	}
}

// stop closes the backend unless a Read that hangs still uses it.
func (s *sampler) stop(busy bool, results <-chan result) {
	if busy {
		select {
		case <-results:
		case <-time.After(shutdownWait / 2):
			s.logger.Warn("driver hangs; it is left as it is")
			return
		}
	}
	s.watch.Wait()
	if err := s.backend.Close(); err != nil {
		s.logger.Warn("driver cannot be closed", "error", err)
	}
}

// read calls the backend.
func (s *sampler) read(ctx context.Context) (r result) {
	ctx, cancel := context.WithTimeout(ctx, s.deadline)
	defer cancel()
	begin := time.Now()
	defer func() {
		r.took = time.Since(begin)
		if v := recover(); v != nil {
			r.reading, r.err = Reading{}, &panicked{v, debug.Stack()}
		}
	}()
	r.reading, r.err = s.backend.Read(ctx)
	return r
}

// handleResult records the result of a Read.
func (s *sampler) handleResult(ctx context.Context, r result) {
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	timedOut := r.took >= s.deadline
	devices := slices.Clone(r.reading.Devices[:min(len(r.reading.Devices), maxDevices)])
	for i := range devices {
		devices[i].Vendor = s.vendor
	}
	none := len(devices) == 0
	s.retryAt = time.Time{}
	switch {
	case none && (r.err == nil || errors.Is(r.err, ErrAbsent)):
		s.recordNone(r, now)
	case none && (timedOut || errors.Is(r.err, ErrHangs)):
		s.recordHang(r.err)
	case none:
		s.absent, s.hung, s.err = false, false, r.err
		s.logError(s.publish())
	default:
		s.recordDevices(ctx, r, devices, now)
	}
}

// recordNone records a reading without GPUs.
func (s *sampler) recordNone(r result, now time.Time) {
	s.set.registry.update(s.vendor, nil, true, now)
	s.absent, s.hung, s.err = true, false, nil
	s.last = lastReading{at: now, took: r.took}
	s.retryAt = now.Add(absentRetry)
	if n := s.set.registry.view(s.vendor).known; n > 0 {
		s.err = fmt.Errorf("%d GPUs were here and there are none now", n)
		if r.err != nil {
			s.err = fmt.Errorf("%w: %w", s.err, r.err)
		} else {
			s.absent, s.retryAt = false, time.Time{} // the driver answers
		}
	}
	s.logError(s.publish())
	s.notify(nil, now)
}

// recordHang records that the driver does not answer.
func (s *sampler) recordHang(err error) {
	s.absent, s.hung, s.err = false, true, fmt.Errorf("driver hangs: %w", err)
	s.logError(s.publish())
}

// recordDevices records a reading with GPUs.
func (s *sampler) recordDevices(ctx context.Context, r result, devices []Device, now time.Time) {
	s.absent, s.hung = false, false
	ids := s.set.registry.update(s.vendor, devices, r.err == nil, now)
	keep, err := distinct(devices)
	devices, ids = selected(devices, keep), selected(ids, keep)
	for i := range devices {
		s.dropForeignProcesses(&devices[i])
		if !devices[i].Lost {
			devices[i].Energy = s.addToMeters(ids[i], &devices[i], now)
		}
	}
	s.last = lastReading{at: now, took: r.took, devices: devices, ids: ids}
	s.err = joinErrors(slices.DeleteFunc([]error{r.err, err}, func(err error) bool { return err == nil }))
	s.logError(s.publish())
	s.notify(devices, now)
	if w, ok := s.backend.(Watcher); ok && !s.watching {
		s.watching = true
		s.watch.Go(func() { s.watchEvents(ctx, w) })
	}
}

// dropForeignProcesses drops a GPU's processes if this worker is in a PID namespace of its own: the driver's PIDs may then be
// those of other processes here. Processes whose instance the backend itself knows stay.
func (s *sampler) dropForeignProcesses(d *Device) {
	known := slices.ContainsFunc(d.Processes, func(p Process) bool { return p.Instance != "" })
	if !s.set.ownPIDs || !d.ProcessesKnown || known {
		return
	}
	d.Processes, d.ProcessesKnown = nil, false
	if !s.loggedForeignPIDs {
		s.loggedForeignPIDs = true
		s.logger.Info("GPU memory cannot be attributed to instances: this container has process numbers of its own; start it with --pid host")
	}
}

// notify passes a reading to Options.OnReading.
func (s *sampler) notify(devices []Device, now time.Time) {
	if s.set.onReading != nil {
		s.set.onReading(s.vendor, now, devices)
	}
}

// addToMeters adds a reading to a GPU's sums and returns its energy.
func (s *sampler) addToMeters(id string, d *Device, at time.Time) Value {
	m := s.meters[id]
	switch {
	case id == "": // not in the registry
		return d.Energy
	case m == nil:
		maps.DeleteFunc(s.meters, func(id string, m *meters) bool { return at.Sub(m.at) > forgetAfter })
		m = &meters{at: at}
		s.meters[id] = m
	}
	m.add(d, max(min(at.Sub(m.at), maxGap*s.interval), 0))
	m.at = at
	return m.energy()
}

// watchEvents counts the events that the driver reports until ctx ends.
func (s *sampler) watchEvents(ctx context.Context, w Watcher) {
	s.set.registry.startWatch(s.vendor, time.Now())
	err := func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &panicked{v, debug.Stack()}
			}
		}()
		return w.Watch(ctx, func(e Event) {
			e.Vendor = s.vendor
			if e.Source == "" {
				e.Source = SourceDriver
			}
			s.set.registry.count(e, time.Now())
		})
	}()
	if ctx.Err() == nil {
		s.set.registry.stopWatch(s.vendor)
		s.logger.Warn("the driver no longer reports errors; only those in the kernel log are counted", "error", err)
	}
}

// logError logs a failure once for each text, and logs once when readings have succeeded for a while after that.
func (s *sampler) logError(err error) {
	if err == nil {
		if len(s.logged) > 0 && time.Since(s.failedAt) >= recoveredAfter {
			s.logger.Info("GPU readings succeed again")
			clear(s.logged)
		}
		return
	}
	s.failedAt = time.Now()
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if s.logged[text] || len(s.logged) >= maxLogged {
		return
	}
	s.logged[text] = true
	attrs := []any{"error", text}
	if p, ok := errors.AsType[*panicked](err); ok {
		attrs = append(attrs, "stack", string(p.stack))
	}
	s.logger.Warn("not all GPUs or values can be read", attrs...)
}

// panicked is a panic of a backend's as an error.
type panicked struct {
	value any
	stack []byte
}

// Error says with what the backend panicked, on one line.
func (p *panicked) Error() string {
	return "the backend panicked: " + strings.Join(strings.Fields(fmt.Sprintf("%.200v", p.value)), " ")
}

func selected[T any](list []T, keep []int) []T {
	picked := make([]T, len(keep))
	for i, k := range keep {
		picked[i] = list[k]
	}
	return picked
}
