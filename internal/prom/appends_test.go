package prom

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/stackscope/stackscope/tests/programs"
)

type (
	seriesRef = storage.SeriesRef
	options   = storage.AppendV2Options
)

// nothing is an appender that takes everything and fails to store it where err says so.
type nothing struct{ err error }

func (nothing) Append(ref seriesRef, _ labels.Labels, _, _ int64, _ float64, _ *histogram.Histogram, _ *histogram.FloatHistogram, _ options) (seriesRef, error) {
	return ref, nil
}
func (n nothing) Commit() error { return n.err }
func (nothing) Rollback() error { return nil }

func TestFailingCommitIsReportedUntilItWorks(t *testing.T) {
	var log programs.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	around := newSharedParts(Options{Dir: t.TempDir()}, logger)
	commit := func(err error) {
		a := &guardedAppender{AppenderV2: nothing{err}, cutoff: newCutoff(around.dialPolicy, nil), shared: around}
		if err := a.Commit(); err != nil {
			t.Errorf("the scraper would log it for each target: %v", err)
		}
	}
	commit(nil)
	if err := around.health.err(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		commit(errors.New("write to WAL: input/output error"))
	}
	if err := around.health.err(); err == nil || !strings.Contains(err.Error(), "write to WAL: input/output error") {
		t.Errorf("Err: %v", err)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors in the log:\n%s", n, log.String())
	}
	commit(nil)
	if err := around.health.err(); err != nil {
		t.Errorf("it works again, and Err says %v", err)
	}
}

// Before the disk is full nothing is stored any more, and when it has room again everything is.
func TestFullDiskIsReportedUntilSpaceIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		around := newSharedParts(Options{Dir: t.TempDir()}, slog.New(slog.DiscardHandler))
		free := uint64(100 << 20)
		asked := 0
		around.disk.free = func(string) (uint64, bool) { asked++; return free, true }
		const series = 100_000 // of which each may need a chunk written: 24 MiB
		appends := guardedAppendable{nothings{}, newCutoff(around.dialPolicy, nil), around, func() uint64 { return series }}
		stores := func() bool {
			time.Sleep(spaceInterval)
			_, refused := appends.AppenderV2(t.Context()).(discardAppender)
			return !refused
		}
		if !stores() || around.health.err() != nil {
			t.Error("there is room, and nothing is stored")
		}
		free = 20 << 20
		if stores() {
			t.Error("there is less room than the head may need")
		}
		if err := around.health.err(); err == nil || !strings.Contains(err.Error(), "20 MiB are free, 32 MiB are needed") {
			t.Errorf("Err: %v", err)
		}
		asked = 0
		for range 1000 {
			appends.AppenderV2(t.Context())
		}
		if asked != 0 {
			t.Errorf("the system was asked %d times within a second", asked)
		}
		free = 40 << 20
		if !stores() || around.health.err() != nil {
			t.Errorf("there is room again: %v", around.health.err())
		}
	})
}

type nothings struct{}

func (nothings) AppenderV2(context.Context) storage.AppenderV2 { return nothing{} }
