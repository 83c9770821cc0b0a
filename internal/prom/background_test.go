package prom

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What the TSDB fails at in the background is told, with the reason that it logged, until it has not failed for a while.
func TestBackgroundFailuresAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSharedParts(Options{Dir: t.TempDir()}, slog.New(slog.DiscardHandler)).health
		reg := prometheus.NewRegistry()
		failed := prometheus.NewCounter(prometheus.CounterOpts{Name: "prometheus_tsdb_compactions_failed_total"})
		reg.MustRegister(failed)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go h.watch(ctx, reg, "/data")
		time.Sleep(time.Minute)
		if err := h.err(); err != nil {
			t.Errorf("nothing failed: %v", err)
		}
		log := h.captureErrors(slog.New(slog.DiscardHandler)).With("component", "tsdb")
		fail := func(reason string) {
			log.Error("compaction failed", "err", errors.New(reason))
			failed.Inc()
			time.Sleep(watchInterval)
			synctest.Wait()
		}
		fail("persist head block: input/output error")
		fail("no space left on device")
		if err := h.err(); err == nil || !strings.Contains(err.Error(), "compaction of samples into blocks fails: no space left on device") {
			t.Errorf("Err: %v", err)
		}
		time.Sleep(failureWindow)
		synctest.Wait()
		if err := h.err(); err != nil {
			t.Errorf("no failure any more: %v", err)
		}
	})
}
