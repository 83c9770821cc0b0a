package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/store"
)

// TestCopyIsConsistentWhileItIsWrittenTo copies a database again and again while generations are stored. Each copy opens, and has
// everything that was acknowledged before it was begun.
func TestCopyIsConsistentWhileItIsWrittenTo(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	stored := make(chan int64, 1)
	stored <- 0
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		for {
			g, err := s.AppendGeneration(context.WithoutCancel(ctx), []byte(`{"runtime_mapping":{},"gpustack_metrics":{}}`), time.Unix(1, 0), store.Note{Comment: strings.Repeat("x", 4000)})
			if err != nil || ctx.Err() != nil {
				done <- err
				return
			}
			<-stored
			stored <- g.Number
		}
	}()
	for i := range 20 {
		acknowledged := <-stored
		stored <- acknowledged
		to := filepath.Join(t.TempDir(), "copy.db")
		if err := s.Copy(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		sum, err := store.Examine(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		if sum.Generation < acknowledged || sum.Schema != store.SchemaVersion() {
			t.Errorf("copy %d has generation %d and schema %d, after %d was stored", i, sum.Generation, sum.Schema, acknowledged)
		}
		if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCopyReplacesNothingAndLeavesNothing(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Copy(t.Context(), taken); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file was replaced: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Copy(ctx, filepath.Join(dir, "cancelled")); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
}

func TestExamineRefuses(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Examine(t.Context(), filepath.Join(dir, store.FileName)); err != nil {
		t.Errorf("a whole one: %v", err)
	}
	for name, text := range map[string]string{"none": "", "text": strings.Repeat("no database ", 1000), "half": string(whole[:len(whole)/2])} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Examine(t.Context(), path); !errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
