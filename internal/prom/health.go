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

// Problems of the embedded Prometheus: values of the label problem of stackscope_prometheus_problem.
const (
	problemData       = "data"       // the data directory can't be opened
	problemDisk       = "disk"       // too little disk space: samples are not stored
	problemCommit     = "commit"     // scraped samples can't be written
	problemCompaction = "compaction" // blocks can't be created
	problemTruncation = "truncation" // the head or the WAL can't be truncated
	problemBlocks     = "blocks"     // blocks can't be reloaded
)

func problems() []string {
	return []string{problemData, problemDisk, problemCommit, problemCompaction, problemTruncation, problemBlocks}
}

// health holds the current problems of the embedded Prometheus.
type health struct {
	logger *slog.Logger
	outage atomic.Pointer[outage]
	up     atomic.Bool

	commitFailing atomic.Bool
	notStored     prometheus.Counter
	lastErrors    lastErrors

	mu     sync.Mutex
	active map[string]activeProblem
}

type activeProblem struct {
	since time.Time
	err   error
}

func newHealth(logger *slog.Logger, reg prometheus.Registerer) *health {
	h := &health{
		logger: logger, active: map[string]activeProblem{}, lastErrors: lastErrors{byMessage: map[string]error{}},
		notStored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stackscope_prometheus_scrapes_not_stored_total",
			Help: "Scrapes of the embedded Prometheus that were not stored: its disk was full or could not be written to.",
		}),
	}
	reg.MustRegister(h.notStored, h)
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
	c <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, boolValue(h.up.Load()))
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range problems() {
		_, is := h.active[name]
		c <- prometheus.MustNewConstMetric(problemDesc, prometheus.GaugeValue, boolValue(is), name)
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// setOutage records that the data can't be opened.
func (h *health) setOutage(out *outage) {
	h.outage.Store(out)
	h.set(problemData, fmt.Errorf("%w; %s", out, out.remedy()))
}

// clearOutage records that the data is open.
func (h *health) clearOutage() {
	h.outage.Store(nil)
	h.up.Store(true)
	h.clear(problemData)
}

// set records a problem and reports whether it is new.
func (h *health) set(problem string, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, known := h.active[problem]
	if !known {
		old.since = time.Now()
	}
	h.active[problem] = activeProblem{old.since, err}
	return !known
}

// clear removes a problem. It returns how long the problem lasted and whether there was one.
func (h *health) clear(problem string) (time.Duration, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, known := h.active[problem]
	delete(h.active, problem)
	return time.Since(old.since), known
}

// err returns all problems as one error.
func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, name := range problems() {
		if t, is := h.active[name]; is {
			errs = append(errs, t.err)
		}
	}
	return errors.Join(errs...)
}

// recordCommit records the result of a commit. It logs the first failure and the recovery.
func (h *health) recordCommit(err error) {
	if err == nil {
		if h.commitFailing.Load() && h.commitFailing.Swap(false) {
			lasted, _ := h.clear(problemCommit)
			h.logger.Warn("scraped samples are stored again", "after", lasted.Round(time.Second))
		}
		return
	}
	h.notStored.Inc()
	h.commitFailing.Store(true)
	err = fmt.Errorf("prometheus: scraped samples can't be stored: %w; check the disk of the data directory", err)
	if h.set(problemCommit, err) {
		h.logger.Error("scraped samples can't be stored", "error", err)
	}
}

// captureErrors returns a logger that keeps the last error of each background task, because the TSDB's metrics count failures without
// their cause.
func (h *health) captureErrors(l *slog.Logger) *slog.Logger {
	return slog.New(errorCapture{l.Handler(), h})
}
