package store_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/store"
)

// copied opens a copy of the database's file alone.
func copied(t *testing.T, dir string) *store.Store {
	t.Helper()
	to := t.TempDir()
	put(t, to, store.FileName, content(t, dir)[store.FileName])
	return open(t, to)
}

// A copy of the file alone has what was stored a minute ago, and what was there when the server started.
func TestFileAloneLacksLittle(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		apply(t, s, sampleChanges)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if info, err := os.Stat(filepath.Join(dir, store.FileName+"-wal")); err != nil || info.Size() != 0 {
			t.Errorf("the log: %v, %v", info, err)
		}
		if diff := cmp.Diff(sample, load(t, copied(t, dir))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		closed(t, s)
	})
}

func TestStartWritesTheLogIntoTheFile(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := start(t, "server", dir)
	kill(cmd)
	open(t, dir)
	if diff := cmp.Diff(sample, load(t, copied(t, dir))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Another process that reads keeps the log from being emptied. Nobody waits for that, and it isn't a failure.
func TestReaderHoldsNobodyUp(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Dir: dir, BusyTimeout: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		db := raw(t, dir)
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := tx.QueryRow("SELECT count(*) FROM workers").Scan(&n); err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		apply(t, s, sampleChanges)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		begun := time.Now()
		apply(t, s, sampleChanges)
		if waited := time.Since(begun); waited > time.Second {
			t.Errorf("a write waited %v for the other process", waited)
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		end()
		<-ended
		closed(t, s)
	})
	if strings.Contains(log.String(), "level=WARN") {
		t.Errorf("log:\n%s", log.String())
	}
}
