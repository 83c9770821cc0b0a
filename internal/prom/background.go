package prom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	watchInterval = 15 * time.Second
	// failureWindow is how long a task counts as failing after its last failure. The TSDB retries within two minutes.
	failureWindow = 5 * time.Minute
)

// backgroundTasks are the TSDB's background tasks with the counters of their failures.
var backgroundTasks = []struct {
	problem, what string
	counters      []string
	message       string // of the TSDB's log record about a failure
}{
	{problemCompaction, "compaction of samples into blocks fails", []string{"prometheus_tsdb_compactions_failed_total"}, "compaction failed"},
	{problemTruncation, "truncation of the head or of its write-ahead log fails", []string{
		"prometheus_tsdb_head_truncations_failed_total", "prometheus_tsdb_wal_truncations_failed_total", "prometheus_tsdb_checkpoint_creations_failed_total",
	}, "compaction failed"},
	{problemBlocks, "reloading of blocks fails", []string{"prometheus_tsdb_reloads_failures_total"}, "reloadBlocks"},
}

// watch polls the TSDB's failure counters until ctx ends.
func (h *health) watch(ctx context.Context, gatherer prometheus.Gatherer, dir string) {
	seen, last := map[string]float64{}, map[string]time.Time{}
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for first := true; ; first = false {
		values := counters(gatherer)
		for _, b := range backgroundTasks {
			var failures float64
			for _, name := range b.counters {
				failures += values[name]
			}
			switch {
			case !first && failures > seen[b.problem], first && failures > 0:
				last[b.problem] = time.Now()
				h.set(b.problem, fmt.Errorf("prometheus: %s: %w; check the disk and the permissions under %s; a restart reports damaged files", b.what, h.lastError(b.message), dir))
			case time.Since(last[b.problem]) >= failureWindow:
				if lasted, was := h.clear(b.problem); was {
					h.logger.Warn("background task works again", "problem", b.problem, "after", lasted.Round(time.Second))
				}
			}
			seen[b.problem] = failures
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// counters returns the values of all counters without labels.
func counters(g prometheus.Gatherer) map[string]float64 {
	values := map[string]float64{}
	families, _ := g.Gather() // what can't be gathered is absent
	for _, f := range families {
		if m := f.GetMetric(); len(m) == 1 && m[0].GetCounter() != nil {
			values[f.GetName()] = m[0].GetCounter().GetValue()
		}
	}
	return values
}

// errorCapture is a slog.Handler that keeps the last error of each background task and forwards all records.
type errorCapture struct {
	slog.Handler
	health *health
}

// lastErrors holds the last error logged with each message.
type lastErrors struct {
	mu        sync.Mutex
	byMessage map[string]error
}

// lastError returns the error that was last logged with a message.
func (h *health) lastError(message string) error {
	h.lastErrors.mu.Lock()
	defer h.lastErrors.mu.Unlock()
	if err := h.lastErrors.byMessage[message]; err != nil {
		return err
	}
	return errors.New("the log says why")
}

// Enabled reports true for errors at any log level, so that they are captured.
func (l errorCapture) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || l.Handler.Enabled(ctx, level)
}

func (l errorCapture) Handle(ctx context.Context, r slog.Record) error {
	for _, b := range backgroundTasks {
		if r.Level < slog.LevelError || r.Message != b.message {
			continue
		}
		r.Attrs(func(a slog.Attr) bool {
			if err, ok := a.Value.Any().(error); ok && a.Key == "err" {
				l.health.lastErrors.mu.Lock()
				l.health.lastErrors.byMessage[r.Message] = err
				l.health.lastErrors.mu.Unlock()
			}
			return true
		})
	}
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

func (l errorCapture) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorCapture{l.Handler.WithAttrs(attrs), l.health}
}

func (l errorCapture) WithGroup(name string) slog.Handler {
	return errorCapture{l.Handler.WithGroup(name), l.health}
}
