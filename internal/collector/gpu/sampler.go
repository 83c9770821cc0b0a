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
	// lateAfter and staleAfter are how many intervals a reading may be overdue before its collector counts as failed, and
	// before it is exported no more.
	lateAfter  = 3
	staleAfter = 12
	// hangAfter is how long a Read may take before the driver counts as hanging; toolHangAfter is the same for backends that
	// cannot be read at any interval, since they start tools.
	hangAfter     = 5 * time.Second
	toolHangAfter = 15 * time.Second
	// absentRetry is the pause between two looks for a vendor that the machine doesn't have.
	absentRetry = time.Minute
	// maxGap is how many intervals a power or throttle reading may stand for. What lies further back, a hang or a suspended
	// machine, is not known, and a sum that grew by a guess would be worse than one that missed something.
	maxGap = 3
	// calm is how long nothing may fail before a failure counts as over.
	calm = time.Minute
	// maxSaid bounds the reasons of failures that are remembered as logged.
	maxSaid = 32
)

// sampler reads one backend. Its fields from builder on belong to the goroutine of run.
type sampler struct {
	set      *Set
	backend  Backend
	vendor   string
	interval time.Duration
	deadline time.Duration
	first    bool // it speaks for the set when there are no cards at all
	logger   *slog.Logger
	page     atomic.Pointer[page]

	builder builder
	meters  map[string]*meters // by card id
	last    taken
	err     error
	absent  bool
	hung    bool
	retryAt time.Time
	said    map[string]bool
	failed  time.Time // lately
	watched bool
	doubted bool // it was said that processes cannot be told
	watch   sync.WaitGroup
}

// taken is a reading that was taken in.
type taken struct {
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
		meters: map[string]*meters{}, said: map[string]bool{},
	}
	if b.MinInterval() > 0 {
		s.deadline = toolHangAfter
	}
	return s
}

// overdue is how old a reading may be that is so many intervals overdue. A Read takes what it takes until it counts as hanging.
func (s *sampler) overdue(intervals time.Duration) time.Duration {
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
	seen := s.set.ledger.changed()
	read()
	for {
		select {
		case <-ctx.Done():
			s.end(busy, results)
			return
		case r := <-results:
			busy = false
			hang.Stop()
			s.take(ctx, r)
		case <-hang.C:
			s.hangs(fmt.Errorf("no answer for %s", s.deadline))
		case <-ticker.C:
			if !busy && !time.Now().Before(s.retryAt) {
				hang.Reset(s.deadline)
				read()
			}
			if now := s.set.ledger.changed(); (now != seen || s.speaks()) && s.page.Load() != nil {
				seen = now
				s.tell(s.publish())
			}
		}
	}
}

// end closes the backend unless something still runs in it.
func (s *sampler) end(busy bool, results <-chan result) {
	if busy {
		select {
		case <-results:
		case <-time.After(patience / 2):
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

// take takes in what a Read gave.
func (s *sampler) take(ctx context.Context, r result) {
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	late := r.took >= s.deadline
	devices := slices.Clone(r.reading.Devices[:min(len(r.reading.Devices), maxDevices)])
	for i := range devices {
		devices[i].Vendor = s.vendor
	}
	none := len(devices) == 0
	s.retryAt = time.Time{}
	switch {
	case none && (r.err == nil || errors.Is(r.err, ErrAbsent)):
		s.gone(r, now)
	case none && (late || errors.Is(r.err, ErrHangs)):
		s.hangs(r.err)
	case none:
		s.absent, s.hung, s.err = false, false, r.err
		s.tell(s.publish())
	default:
		s.good(ctx, r, devices, now)
	}
}

// gone takes in that there are no cards.
func (s *sampler) gone(r result, now time.Time) {
	s.set.ledger.observe(s.vendor, nil, true, now)
	s.absent, s.hung, s.err = true, false, nil
	s.last = taken{at: now, took: r.took}
	s.retryAt = now.Add(absentRetry)
	if n := s.set.ledger.view(s.vendor).known; n > 0 {
		s.err = fmt.Errorf("%d cards were here and there are none now", n)
		if r.err != nil {
			s.err = fmt.Errorf("%w: %w", s.err, r.err)
		} else {
			s.absent, s.retryAt = false, time.Time{} // the driver answers
		}
	}
	s.tell(s.publish())
	s.hand(nil, now)
}

// hangs takes in that the driver does not answer.
func (s *sampler) hangs(err error) {
	s.absent, s.hung, s.err = false, true, fmt.Errorf("driver hangs: %w", err)
	s.tell(s.publish())
}

// good takes in a reading with cards.
func (s *sampler) good(ctx context.Context, r result, devices []Device, now time.Time) {
	s.absent, s.hung = false, false
	ids := s.set.ledger.observe(s.vendor, devices, r.err == nil, now)
	keep, err := usable(devices)
	devices, ids = pick(devices, keep), pick(ids, keep)
	for i := range devices {
		s.doubt(&devices[i])
		if !devices[i].Lost {
			devices[i].Energy = s.meter(ids[i], &devices[i], now)
		}
	}
	s.last = taken{at: now, took: r.took, devices: devices, ids: ids}
	s.err = joined(slices.DeleteFunc([]error{r.err, err}, func(err error) bool { return err == nil }))
	s.tell(s.publish())
	s.hand(devices, now)
	if w, ok := s.backend.(Watcher); ok && !s.watched {
		s.watched = true
		s.watch.Go(func() { s.follow(ctx, w) })
	}
}

// doubt drops a card's processes if their numbers may be other processes' here. Who a process is of stays.
func (s *sampler) doubt(d *Device) {
	known := slices.ContainsFunc(d.Processes, func(p Process) bool { return p.Instance != "" })
	if !s.set.ownPIDs || !d.ProcessesKnown || known {
		return
	}
	d.Processes, d.ProcessesKnown = nil, false
	if !s.doubted {
		s.doubted = true
		s.logger.Info("who uses the cards is not told, since this worker does not see the machine's process numbers: start its container with --pid host")
	}
}

// hand tells who asked for it what was read.
func (s *sampler) hand(devices []Device, now time.Time) {
	if s.set.onReading != nil {
		s.set.onReading(s.vendor, now, devices)
	}
}

// meter adds a reading to a card's sums and returns its energy.
func (s *sampler) meter(id string, d *Device, at time.Time) Value {
	m := s.meters[id]
	switch {
	case id == "": // not one of the cards that are remembered
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

// follow counts what the driver reports until ctx ends.
func (s *sampler) follow(ctx context.Context, w Watcher) {
	s.set.ledger.watch(s.vendor, time.Now())
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
			s.set.ledger.count(e, time.Now())
		})
	}()
	if ctx.Err() == nil {
		s.set.ledger.unwatch(s.vendor)
		s.logger.Warn("driver reports errors no more; only the kernel log tells of them", "error", err)
	}
}

// tell logs a failure once for each reason, and once when all has gone well again for a while.
func (s *sampler) tell(err error) {
	if err == nil {
		if len(s.said) > 0 && time.Since(s.failed) >= calm {
			s.logger.Info("cards are read again")
			clear(s.said)
		}
		return
	}
	s.failed = time.Now()
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if s.said[text] || len(s.said) >= maxSaid {
		return
	}
	s.said[text] = true
	attrs := []any{"error", text}
	if p, ok := errors.AsType[*panicked](err); ok {
		attrs = append(attrs, "stack", string(p.stack))
	}
	s.logger.Warn("cards cannot be read completely", attrs...)
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

func pick[T any](list []T, keep []int) []T {
	picked := make([]T, len(keep))
	for i, k := range keep {
		picked[i] = list[k]
	}
	return picked
}
