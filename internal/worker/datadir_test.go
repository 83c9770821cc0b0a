package worker

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A second worker on a data directory is refused before it changes anything there; the directory is free again when the first
// one has ended or could not be made.
func TestDataDirectoryHasOneWorker(t *testing.T) {
	o := options(t)
	o.DisableWorkerMetrics = true
	first, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.DataDir, "worker.json")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), o)
	if err == nil {
		t.Fatal("a second worker has the directory")
	}
	for _, part := range []string{o.DataDir, "locked by another process", "(pid " + strconv.Itoa(os.Getpid()) + ")", "stop that worker", "--data-dir"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the first one's state was changed: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	unfit := o
	unfit.HashUsers, unfit.UserHashKeyFile, unfit.DisableWorkerMetrics = true, filepath.Join(t.TempDir(), "missing"), false
	if _, err := New(t.Context(), unfit); err == nil {
		t.Error("a worker was made with a key that is missing")
	}
	again, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
