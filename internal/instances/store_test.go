package instances

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/engine"
)

// What was known of an engine is kept for a while after it was last there, and of a bounded number of them.
func TestEnginesAreKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := OpenStore(filepath.Join(t.TempDir(), "worker.json"), "", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.New(engine.Options{Declaration: engine.Declaration{URL: "http://h:1", Path: "/metrics", Instance: "a"}, History: engine.History{RestartCount: 2}})
		if err != nil {
			t.Fatal(err)
		}
		here := []*Instance{{engine: e, store: s, key: "process:1"}}
		s.save(here)
		time.Sleep(30 * 24 * time.Hour)
		s.save(here) // it was there all the time
		time.Sleep(keepEngines - 2*time.Hour)
		s.save(nil)
		if got := s.engine("a"); got.RestartCount != 2 || s.nameOf("process:1") != "a" {
			t.Errorf("before its time: %+v", got)
		}
		time.Sleep(4 * time.Hour)
		s.save(nil)
		if got := s.engine("a"); got.RestartCount != 0 || s.nameOf("process:1") != "" {
			t.Errorf("after its time: %+v", got)
		}
		for i := range 2 * maxKeptEngines {
			s.setIDs(fmt.Sprint("b-", i), ids{"m", 1, 1})
			s.state.Engines[fmt.Sprint("b-", i)] = engineState{SeenAt: time.Now()}
		}
		s.save(here)
		if n := len(s.state.Engines); n != maxKeptEngines {
			t.Errorf("%d engines are kept, want %d", n, maxKeptEngines)
		}
		if s.engine("a").RestartCount != 2 {
			t.Error("the one that is there is not kept")
		}
	})
}

// A state that could not be read again does not replace one that can.
func TestStateThatIsTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker.json")
	open := func() *Store {
		s, err := OpenStore(path, "", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	if !s.save(nil) {
		t.Fatal("not saved")
	}
	s.state.Engines = map[string]engineState{"a": {SeenAt: time.Now(), Group: strings.Repeat("g", maxStateBytes)}}
	if s.save(nil) {
		t.Error("the file is said to hold it")
	}
	if got := open().Identity().UUID; got != s.Identity().UUID {
		t.Errorf("UUID %s after a restart, want %s", got, s.Identity().UUID)
	}
}

// The file is not written again and again for engines that are merely still there.
func TestStateIsWrittenWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "worker.json")
		s, err := OpenStore(path, "", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.New(engine.Options{Declaration: engine.Declaration{URL: "http://h:1", Path: "/metrics", Instance: "a", Model: "m"}})
		if err != nil {
			t.Fatal(err)
		}
		here := []*Instance{{engine: e, store: s, key: "process:1"}}
		save := func() os.FileInfo {
			t.Helper()
			s.save(here)
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
		s.setIDs("a", ids{"m", 1, 2})
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
		s := &Store{state: state{Engines: map[string]engineState{"other": {Key: "process:2", SeenAt: now.Add(time.Hour)}}}}
		for name, age := range c.ages {
			s.state.Engines[name] = engineState{Key: "process:1", SeenAt: now.Add(-age)}
		}
		for range 10 { // a map's order is a new one each time
			if got := s.nameOf("process:1"); got != c.want {
				t.Errorf("%d: %q, want %q", i, got, c.want)
			}
		}
	}
}

func TestState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker.json")
	open := func(server string) *Store {
		t.Helper()
		s, err := OpenStore(path, server, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	d, err := engine.CheckDeclarations([]engine.Declaration{{URL: "http://h:1", Model: "m", Instance: "a"}}, "w")
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Declaration: d[0], History: engine.History{RestartCount: 2}})
	if err != nil {
		t.Fatal(err)
	}
	s := open("http://one")
	s.SetIdentity(Identity{Server: "http://one", WorkerID: 7, WorkerName: "w", ClusterID: 2, ClusterName: "c", Credential: "x"})
	if !s.setIDs("a", ids{"m", 4, 5}) || s.setIDs("a", ids{"m", 4, 5}) {
		t.Error("setIDs is wrong about what is new")
	}
	s.setIDs("gone", ids{"m", 8, 9})
	s.save([]*Instance{{engine: e, store: s}})

	same := open("http://one")
	if diff := cmp.Diff(s.state, same.state); diff != "" {
		t.Errorf("(-saved +read)\n%s", diff)
	}
	if got := same.engine("a"); got.RestartCount != 2 || got.IDs.ModelID != 5 || same.engine("gone").IDs.InstanceID != 0 {
		t.Errorf("got %+v", same.state)
	}
	other := open("http://two")
	if got := other.state; got.UUID != same.state.UUID || got.WorkerID != 0 || got.Credential != "" || got.Engines["a"].IDs != (ids{}) || got.Engines["a"].RestartCount != 2 {
		t.Errorf("another server's state: %+v", got)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if damaged := open("http://one"); damaged.state.UUID == "" || damaged.state.UUID == same.state.UUID {
		t.Errorf("damaged: %+v", damaged.state)
	}
	if _, err := os.Stat(path + ".bad"); err != nil {
		t.Error(err)
	}
}

func TestIDsAreThoseOfTheModel(t *testing.T) {
	d, err := engine.CheckDeclarations([]engine.Declaration{{URL: "http://h:1", Model: "m", Instance: "a"}}, "w")
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Declaration: d[0]})
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{}
	in := &Instance{engine: e, store: s}
	for _, c := range []struct {
		given  ids
		id     string
		model  string
		labels string
	}{
		{ids{"other", 4, 5}, "", "", `model_name="m",model_instance_name="a"`},
		{ids{"m", 6, 7}, "6", "7", `model_id="7",model_name="m",model_instance_id="6",model_instance_name="a"`},
		{ids{"m", 6, 8}, "6", "8", `model_id="8",model_name="m",model_instance_id="6",model_instance_name="a"`},
		{ids{"other", 4, 5}, "", "", `model_name="m",model_instance_name="a"`},
	} {
		s.setIDs("a", c.given)
		if got := in.Instance(); got.ID != c.id || got.ModelID != c.model || got.Model != "m" {
			t.Errorf("got %+v", got)
		}
		for range 2 { // the labels of the engine's own samples are kept
			if got := string(in.ownLabels()); got != c.labels {
				t.Errorf("with %+v: got %s, want %s", c.given, got, c.labels)
			}
		}
	}
}

// What changed since the last save is on disk when the manager has ended, and what could not be saved is saved later.
func TestStateIsSavedAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	m := newManager(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.keepSaved(ctx)
	}()
	m.store.SetIdentity(Identity{WorkerID: 7, WorkerName: "w", Credential: "credential-1"})
	cancel()
	<-done
	s, err := OpenStore(filepath.Join(dir, "worker.json"), "", slog.New(slog.DiscardHandler))
	if err != nil || s.Identity().WorkerID != 7 {
		t.Errorf("%+v, %v", s.Identity(), err)
	}
}
