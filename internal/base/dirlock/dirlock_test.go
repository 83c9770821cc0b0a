package dirlock_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stackscope/stackscope/internal/base/dirlock"
)

const name = "some.lock"

func take(t *testing.T, dir, name string) *dirlock.Lock {
	t.Helper()
	l, err := dirlock.Take(dir, name, "worker")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func release(t *testing.T, end func() error) {
	t.Helper()
	if err := end(); err != nil {
		t.Fatal(err)
	}
}

func TestSecondIsRefused(t *testing.T) {
	dir := t.TempDir()
	// What another process has left says nothing about the one that runs.
	if err := os.WriteFile(filepath.Join(dir, name), []byte("1234567890123456\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := take(t, dir, name)
	_, err := dirlock.Take(dir, name, "worker")
	if !errors.Is(err, dirlock.ErrHeld) {
		t.Fatalf("the second lock: %v", err)
	}
	for _, part := range []string{dir, "locked by another process", "(pid " + strconv.Itoa(os.Getpid()) + ")", "stop that worker", "--data-dir"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
	other := take(t, dir, "other.lock") // another name is another lock
	release(t, other.Release)
	release(t, first.Release)
	release(t, take(t, dir, name).Release)
}

// Who abandons a lock leaves nothing, and a lock on the file that was removed holds nobody off.
func TestAbandon(t *testing.T) {
	dir := t.TempDir()
	release(t, take(t, dir, name).Abandon)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	release(t, take(t, dir, name).Release)
	release(t, take(t, dir, name).Abandon) // the file was there before
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		t.Error(err)
	}
}

// The owner of a directory that root locks does not choose which file root writes into.
func TestLinkIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("of somebody else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, filepath.Join(dir, name)); err != nil {
		t.Skip(err)
	}
	if _, err := dirlock.Take(dir, name, "server"); err == nil {
		t.Error("a link is a lock")
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "of somebody else\n" {
		t.Errorf("the file that the link names has %q, %v", text, err)
	}
}

func TestUnusableDirectory(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := dirlock.Take(missing, name, "server")
	if err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), "cannot be written") || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// However many take it and abandon it at once, one holds it at a time.
func TestOneHolderAtATime(t *testing.T) {
	dir := t.TempDir()
	var holders, taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5000 {
				l, err := dirlock.Take(dir, name, "worker")
				if err != nil {
					continue
				}
				taken.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				runtime.Gosched()
				holders.Add(-1)
				if err := l.Abandon(); err != nil {
					t.Errorf("abandon: %v", err)
				}
			}
		})
	}
	all.Wait()
	if taken.Load() == 0 {
		t.Error("nobody got the lock")
	}
}
