package prom

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What can be wrong with the embedded Prometheus, as the label problem of its metric spells it.
const (
	problemData       = "data"       // it can't be opened
	problemDisk       = "disk"       // too little space is left, nothing is stored
	problemCommit     = "commit"     // what was scraped can't be written
	problemCompaction = "compaction" // blocks can't be made
	problemTruncation = "truncation" // the head or its log can't be shortened
	problemBlocks     = "blocks"     // blocks can't be read again
)

func problems() []string {
	return []string{problemData, problemDisk, problemCommit, problemCompaction, problemTruncation, problemBlocks}
}

// health knows what is wrong with the embedded Prometheus right now.
type health struct {
	logger *slog.Logger
	out    atomic.Pointer[outage]
	up     atomic.Bool

	commitFails atomic.Bool
	unsaved     prometheus.Counter
	reasons     reasons

	mu    sync.Mutex
	wrong map[string]trouble
}

type trouble struct {
	since time.Time
	err   error
}

func newHealth(logger *slog.Logger, reg prometheus.Registerer) *health {
	h := &health{
		logger: logger, wrong: map[string]trouble{}, reasons: reasons{last: map[string]error{}},
		unsaved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stackscope_prometheus_scrapes_not_stored_total",
			Help: "Scrapes of the embedded Prometheus that were not stored: its disk was full or could not be written to.",
		}),
	}
	reg.MustRegister(h.unsaved, h)
	return h
}

var (
	upDesc      = prometheus.NewDesc("stackscope_prometheus_up", "Whether the embedded Prometheus has opened its data (1) or not (0).", nil, nil)
	problemDesc = prometheus.NewDesc("stackscope_prometheus_problem",
		"Whether the embedded Prometheus has this problem (1) or not (0): its data can't be opened, its disk is full, scrapes can't be written, "+
			"compaction fails, truncation of the head fails, blocks can't be read.", []string{"problem"}, nil)
)

// Describe implements prometheus.Collector.
func (h *health) Describe(c chan<- *prometheus.Desc) { c <- upDesc; c <- problemDesc }

// Collect implements prometheus.Collector.
func (h *health) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, number(h.up.Load()))
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range problems() {
		_, is := h.wrong[name]
		c <- prometheus.MustNewConstMetric(problemDesc, prometheus.GaugeValue, number(is), name)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// closed notes that the data can't be opened.
func (h *health) closed(out *outage) {
	h.out.Store(out)
	h.set(problemData, fmt.Errorf("%w; %s", out, out.way()))
}

// opened notes that the data is open.
func (h *health) opened() {
	h.out.Store(nil)
	h.up.Store(true)
	h.clear(problemData)
}

// set notes a problem and reports whether it is new.
func (h *health) set(problem string, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, known := h.wrong[problem]
	if !known {
		old.since = time.Now()
	}
	h.wrong[problem] = trouble{old.since, err}
	return !known
}

// clear forgets a problem and reports how long it lasted, and whether there was one.
func (h *health) clear(problem string) (time.Duration, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, known := h.wrong[problem]
	delete(h.wrong, problem)
	return time.Since(old.since), known
}

// err returns everything that is wrong.
func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, name := range problems() {
		if t, is := h.wrong[name]; is {
			errs = append(errs, t.err)
		}
	}
	return errors.Join(errs...)
}

// committed takes the result of storing a scrape. A failure is logged once, until storing works again.
func (h *health) committed(err error) {
	if err == nil {
		if h.commitFails.Load() && h.commitFails.Swap(false) {
			lasted, _ := h.clear(problemCommit)
			h.logger.Warn("what is scraped is stored again", "after", lasted.Round(time.Second))
		}
		return
	}
	h.unsaved.Inc()
	h.commitFails.Store(true)
	err = fmt.Errorf("prometheus: what is scraped can't be stored: %w; look at the disk under the data directory", err)
	if h.set(problemCommit, err) {
		h.logger.Error("what is scraped can't be stored", "error", err)
	}
}

// listening returns a logger that remembers the last error of what the TSDB does in the background: its metrics count failures
// and don't say why.
func (h *health) listening(l *slog.Logger) *slog.Logger { return slog.New(failureLog{l.Handler(), h}) }
