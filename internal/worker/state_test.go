package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/wire"
)

// What was known of an engine is kept for a while after it was last there, and of a bounded number of them.
func TestEnginesAreKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := openKeeper(filepath.Join(t.TempDir(), "worker.json"), "", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.New(engine.Options{Declaration: engine.Declaration{URL: "http://h:1", Path: "/metrics", Instance: "a"}, History: engine.History{RestartCount: 2}})
		if err != nil {
			t.Fatal(err)
		}
		here := []*watched{{engine: e, keeper: k, key: "process:1"}}
		k.save(here)
		time.Sleep(30 * 24 * time.Hour)
		k.save(here) // it was there all the time
		time.Sleep(keepEngines - 2*time.Hour)
		k.save(nil)
		if got := k.engine("a"); got.RestartCount != 2 || k.nameOf("process:1") != "a" {
			t.Errorf("before its time: %+v", got)
		}
		time.Sleep(4 * time.Hour)
		k.save(nil)
		if got := k.engine("a"); got.RestartCount != 0 || k.nameOf("process:1") != "" {
			t.Errorf("after its time: %+v", got)
		}
		for i := range 2 * maxKeptEngines {
			k.identified(fmt.Sprint("b-", i), ids{"m", 1, 1})
			k.state.Engines[fmt.Sprint("b-", i)] = engineState{SeenAt: time.Now()}
		}
		k.save(here)
		if n := len(k.state.Engines); n != maxKeptEngines {
			t.Errorf("%d engines are kept, want %d", n, maxKeptEngines)
		}
		if k.engine("a").RestartCount != 2 {
			t.Error("the one that is there is not kept")
		}
	})
}

// The file is not written again and again for engines that are merely still there.
func TestStateIsWrittenWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "worker.json")
		k, err := openKeeper(path, "", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.New(engine.Options{Declaration: engine.Declaration{URL: "http://h:1", Path: "/metrics", Instance: "a", Model: "m"}})
		if err != nil {
			t.Fatal(err)
		}
		here := []*watched{{engine: e, keeper: k, key: "process:1"}}
		save := func() os.FileInfo {
			t.Helper()
			k.save(here)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			return info
		}
		const step = time.Minute
		written, last := 0, save()
		for range 10 * time.Hour / step {
			time.Sleep(step)
			now := save()
			if !os.SameFile(now, last) {
				written++
			}
			last = now
		}
		if written > 10 {
			t.Errorf("written %d times in 10 hours in which nothing changed", written)
		}
		k.identified("a", ids{"m", 1, 2})
		if os.SameFile(save(), last) {
			t.Error("not written though it changed")
		}
	})
}

// The one that was last found at a place has its name.
func TestNameOfAPlace(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for i, c := range []struct {
		ages map[string]time.Duration
		want string
	}{
		{map[string]time.Duration{"a": time.Hour, "b": 0, "c": 2 * time.Hour}, "b"},
		{map[string]time.Duration{"a": 0, "b": time.Hour}, "a"},
		{map[string]time.Duration{"c": 0, "b": 0, "d": 0}, "b"},
		{nil, ""},
	} {
		k := &keeper{state: state{Engines: map[string]engineState{"other": {Key: "process:2", SeenAt: now.Add(time.Hour)}}}}
		for name, age := range c.ages {
			k.state.Engines[name] = engineState{Key: "process:1", SeenAt: now.Add(-age)}
		}
		for range 10 { // a map's order is a new one each time
			if got := k.nameOf("process:1"); got != c.want {
				t.Errorf("%d: %q, want %q", i, got, c.want)
			}
		}
	}
}

// What changed since the last save is on disk when the worker has ended.
func TestStateIsSavedAtTheEnd(t *testing.T) {
	o := options(t)
	o.DisableWorkerMetrics = true
	w, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.keep(ctx)
	}()
	w.keeper.joined("", wire.RegisterResponse{WorkerID: 7, WorkerName: "w", Credential: credential})
	cancel()
	<-done
	k, err := openKeeper(filepath.Join(o.DataDir, "worker.json"), "", slog.New(slog.DiscardHandler))
	if err != nil || k.current().WorkerID != 7 {
		t.Errorf("%+v, %v", k.current(), err)
	}
}
