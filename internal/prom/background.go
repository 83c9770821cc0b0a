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
	// failureMemory is how long after its last failure something counts as failing. The TSDB tries again within two minutes.
	failureMemory = 5 * time.Minute
)

// background names what the TSDB does on its own, by the counters of its failures.
var background = []struct {
	problem, what string
	counters      []string
	message       string // with which the TSDB logs a failure
}{
	{problemCompaction, "compaction of samples into blocks fails", []string{"prometheus_tsdb_compactions_failed_total"}, "compaction failed"},
	{problemTruncation, "the head or its write-ahead log can't be shortened", []string{
		"prometheus_tsdb_head_truncations_failed_total", "prometheus_tsdb_wal_truncations_failed_total", "prometheus_tsdb_checkpoint_creations_failed_total",
	}, "compaction failed"},
	{problemBlocks, "blocks can't be read again", []string{"prometheus_tsdb_reloads_failures_total"}, "reloadBlocks"},
}

// watch compares the TSDB's counters of failures until ctx ends.
func (h *health) watch(ctx context.Context, gatherer prometheus.Gatherer, dir string) {
	seen, last := map[string]float64{}, map[string]time.Time{}
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for first := true; ; first = false {
		values := counters(gatherer)
		for _, b := range background {
			var failures float64
			for _, name := range b.counters {
				failures += values[name]
			}
			switch {
			case !first && failures > seen[b.problem], first && failures > 0:
				last[b.problem] = time.Now()
				h.set(b.problem, fmt.Errorf("prometheus: %s: %w; look at the disk and the rights under %s; a start names what is damaged there", b.what, h.lastError(b.message), dir))
			case time.Since(last[b.problem]) >= failureMemory:
				if lasted, was := h.clear(b.problem); was {
					h.logger.Warn("no failure any more", "problem", b.problem, "after", lasted.Round(time.Second))
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

// failureLog remembers errors that pass by.
type failureLog struct {
	slog.Handler
	health *health
}

// reasons holds the last error logged with each message.
type reasons struct {
	mu   sync.Mutex
	last map[string]error
}

// lastError returns what was last logged with a message.
func (h *health) lastError(message string) error {
	h.reasons.mu.Lock()
	defer h.reasons.mu.Unlock()
	if err := h.reasons.last[message]; err != nil {
		return err
	}
	return errors.New("the log says why")
}

// Enabled lets errors in even where nobody logs them.
func (l failureLog) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || l.Handler.Enabled(ctx, level)
}

func (l failureLog) Handle(ctx context.Context, r slog.Record) error {
	for _, b := range background {
		if r.Level < slog.LevelError || r.Message != b.message {
			continue
		}
		r.Attrs(func(a slog.Attr) bool {
			if err, ok := a.Value.Any().(error); ok && a.Key == "err" {
				l.health.reasons.mu.Lock()
				l.health.reasons.last[r.Message] = err
				l.health.reasons.mu.Unlock()
			}
			return true
		})
	}
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

func (l failureLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return failureLog{l.Handler.WithAttrs(attrs), l.health}
}

func (l failureLog) WithGroup(name string) slog.Handler {
	return failureLog{l.Handler.WithGroup(name), l.health}
}
