package prom

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestSnapshotHasBlocksAndHead: a Prometheus on a snapshot knows the samples of blocks and those that were in none.
func TestSnapshotHasBlocksAndHead(t *testing.T) {
	dir := t.TempDir()
	writeTSDB(t, dir, 8*time.Hour, time.Minute)
	left := filepath.Join(dir, snapshotDir, "samples-1")
	if err := os.MkdirAll(left, 0o750); err != nil {
		t.Fatal(err)
	}
	in := start(t, Options{Dir: dir})
	if _, err := os.Stat(filepath.Dir(left)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what an interrupted one has left is there: %v", err)
	}
	in.SetTargets(JobWorkers, newTarget(t, workerPage).group(nil))
	in.await(t, "gpustack:num_requests_running", some)
	s, err := in.TakeSnapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Blocks < 2 || s.From.After(time.Now().Add(-7*time.Hour)) || time.Since(s.To) > time.Minute || s.Bytes == 0 || !slices.IsSorted(s.Files) {
		t.Errorf("%+v", s)
	}
	if in.SnapshotBytes() == 0 {
		t.Error("a snapshot needs no room")
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(s.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, snapshotDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
	other := start(t, Options{Dir: copied})
	for expr, want := range map[string]string{
		"max_over_time(inherited[1d])": "480",
		"inherited":                    "1",
		`max_over_time(gpustack:num_requests_running{runtime="SGLang"}[5m])`: "4",
	} {
		if got := other.query(t, expr); len(got) != 1 || got[0].Value[1] != want {
			t.Errorf("%s: %v, want %s", expr, got, want)
		}
	}
}

// TestSnapshotWithoutSamples: there is none before the data is open, and an empty one before the first sample.
func TestSnapshotWithoutSamples(t *testing.T) {
	p, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.TakeSnapshot(t.Context()); !errors.Is(err, ErrNotReady) {
		t.Errorf("%v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	in := start(t, Options{Dir: t.TempDir()})
	s, err := in.TakeSnapshot(t.Context())
	if err != nil || s.Blocks != 0 || len(s.Files) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if s != nil {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	}
}
