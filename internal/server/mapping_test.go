package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/mapsync"
	"github.com/stackscope/stackscope/internal/wire"
)

// follow runs the worker's half of the mapping's way against the server and returns what ends it. The worker has no engines.
func follow(t *testing.T, c *client.Client, workerID int64, f *mapsync.Follower) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Watch(ctx, workerID, -1, client.Events{Mapping: f.Apply, DryRun: func(ev wire.DryRunEvent) error {
			return c.AnswerDryRun(ctx, workerID, ev.ID, wire.DryRunResult{Generation: generationOf(f), Instances: []wire.InstanceDryRun{}})
		}}) // ends with the server or the test
	}()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			<-done
		}
	}
	t.Cleanup(stop)
	return stop
}

func newFollower(t *testing.T, path string) *mapsync.Follower {
	t.Helper()
	f, err := mapsync.NewFollower(mapsync.FollowerOptions{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// readsOdd reports whether the follower's mapping is the custom one.
func readsOdd(f *mapsync.Follower) bool {
	c, _ := f.Current()
	return len(c.Plan("vLLM", "0.9.0").Lookup([]byte("vllm:odd"))) == 1
}

func generationOf(f *mapsync.Follower) int64 {
	_, g := f.Current()
	return g
}

// GPUStack's workers keep a mapping for up to 300 s after it was changed.
func TestGPUStackBug01_MappingReachesWorkersAtOnce(t *testing.T) {
	s := start(t, options(t))
	followers := make([]*mapsync.Follower, 5)
	for i := range followers {
		followers[i] = newFollower(t, filepath.Join(t.TempDir(), "mapping.json"))
		c, joined := s.join(t, fmt.Sprint("worker-", i))
		follow(t, c, joined.WorkerID, followers[i])
	}
	admin := s.admin(t)
	eventually(t, hangTimeout, "every worker watches", func() bool {
		st, err := admin.ResetConfig(t.Context(), client.Change{IfGeneration: client.AnyGeneration})
		return err == nil && st.Workers == len(followers)
	})
	for i := range int64(10) {
		st, err := admin.SetConfig(t.Context(), []byte(strings.Replace(custom, "Odd.", fmt.Sprint("Odd ", i), 1)), client.Change{IfGeneration: client.AnyGeneration})
		if err != nil || st.Generation != i+1 || st.Workers != len(followers) {
			t.Fatalf("%+v, %v", st, err)
		}
		for _, f := range followers {
			eventually(t, hangTimeout, "the worker applies it", func() bool { return generationOf(f) == i+1 })
		}
	}
	for _, f := range followers {
		if !readsOdd(f) {
			t.Error("a worker has another mapping")
		}
	}
}

// GPUStack's workers fall back to the built-in mapping when the server is away.
func TestGPUStackBug02_WorkersGoOnWithoutTheServer(t *testing.T) {
	s := start(t, options(t))
	path := filepath.Join(t.TempDir(), "mapping.json")
	f := newFollower(t, path)
	c, joined := s.join(t, "worker")
	follow(t, c, joined.WorkerID, f)
	if _, err := s.admin(t).SetConfig(t.Context(), []byte(custom), client.Change{IfGeneration: client.AnyGeneration}); err != nil {
		t.Fatal(err)
	}
	eventually(t, hangTimeout, "applied", func() bool { return generationOf(f) == 1 })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if !readsOdd(f) {
		t.Error("the worker dropped the mapping when the server went")
	}
	again := newFollower(t, path) // the worker was killed too
	if !readsOdd(again) || generationOf(again) != 1 {
		t.Error("the worker dropped the mapping at its restart without the server")
	}
	err := c.Watch(t.Context(), joined.WorkerID, 1, client.Events{Mapping: again.Apply})
	if err == nil || !strings.Contains(err.Error(), "connection refused") || !readsOdd(again) {
		t.Errorf("watching a dead server: %v", err)
	}
}

// copyDir copies what a killed server leaves on disk.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestMappingSurvivesKill(t *testing.T) {
	o := options(t)
	s := start(t, o)
	_, joined := s.join(t, "worker")
	admin := s.admin(t)
	var kept []string // data directories as a kill -9 would have left them
	set := func(doc string) {
		t.Helper()
		var err error
		if doc == "" {
			_, err = admin.ResetConfig(t.Context(), client.Change{IfGeneration: client.AnyGeneration})
		} else {
			_, err = admin.SetConfig(t.Context(), []byte(doc), client.Change{IfGeneration: client.AnyGeneration})
		}
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, copyDir(t, o.DataDir))
	}
	set(custom)
	set("") // the reset must survive as well, as the default and not as a copy of it
	builtin, err := admin.GetDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{custom, string(builtin.Document)} {
		o.DataDir = kept[i]
		after := start(t, o)
		cfg, err := after.admin(t).GetConfig(t.Context())
		if err != nil || cfg.Generation != int64(i)+1 || string(cfg.Document) != want {
			t.Errorf("generation %d: %v, %.200s", cfg.Generation, err, cfg.Document)
		}
		// The worker's credential is still good, and it is told what it lacks.
		f := newFollower(t, "")
		follow(t, newClient(t, after.URL(), joined.Credential), joined.WorkerID, f)
		eventually(t, hangTimeout, "told after the restart", func() bool { return generationOf(f) == int64(i)+1 })
		if readsOdd(f) != (i == 0) {
			t.Error("the worker was told another mapping")
		}
		if after.WorkerToken() != s.WorkerToken() {
			t.Error("the worker token changed")
		}
	}
}

// The specification's three curl commands, as curl sends them, from the server's own machine.
func TestSpecifiedCurlCommands(t *testing.T) {
	s := start(t, options(t))
	url := s.URL()
	status, header, builtin := get(t, url+"/v2/metrics/config")
	if status != 200 || header.Get("Content-Type") != "application/json" || !json.Valid([]byte(builtin)) {
		t.Fatalf("get current: %d %v", status, header)
	}
	for i, headers := range [][]string{
		{"Content-Type", "application/json"},
		{"Content-Type", "application/x-www-form-urlencoded"}, // what -d says without -H
	} {
		doc := strings.Replace(custom, "Odd.", fmt.Sprint(i), 1)
		status, _, body := send(t, "POST", url+"/v2/metrics/config", []byte(doc), headers...)
		var told map[string]any
		if want := fmt.Sprintf(`{"status":"ok","generation":%d,"workers":0`, i+1); status != 200 || !strings.HasPrefix(body, want) || json.Unmarshal([]byte(body), &told) != nil {
			t.Errorf("update: %d %.200s", status, body)
		}
		if _, _, now := get(t, url+"/v2/metrics/config"); now != doc {
			t.Errorf("in force: %s", now)
		}
	}
	status, _, body := send(t, "POST", url+"/v2/metrics/default-config", nil)
	if status != 200 || body != builtin {
		t.Errorf("default: %d %.80s", status, body)
	}
}

func TestSixFaultsAtOnce(t *testing.T) {
	s := start(t, options(t))
	if status, _, body := send(t, "POST", s.URL()+"/v2/metrics/config", []byte(custom)); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	const faulty = `{"gpustack_metrics":{"gpustack:a":{"type":"spiral"},"b c":{"type":"gauge"},"gpustack:d":null},
		"runtime_mapping":{"vLLM":{"~~1":{"x":"gpustack:a"},"*":{"y":"gpustack:nowhere"}}},"more":true}`
	status, header, body := send(t, "POST", s.URL()+"/v2/metrics/config", []byte(faulty))
	var p struct{ Errors []wire.Fault }
	if status != 422 || header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(body), &p) != nil {
		t.Fatalf("%d %v %s", status, header, body)
	}
	seen := map[string]bool{}
	for _, f := range p.Errors {
		seen[f.Pointer] = f.Detail != ""
	}
	for _, pointer := range []string{
		"/gpustack_metrics/gpustack:a/type", "/gpustack_metrics/b c", "/gpustack_metrics/gpustack:d",
		"/runtime_mapping/vLLM/~0~01", "/runtime_mapping/vLLM/*/y", "/more",
	} {
		if !seen[pointer] {
			t.Errorf("%s is not named: %s", pointer, body)
		}
	}
	if len(p.Errors) != 6 {
		t.Errorf("%d faults: %s", len(p.Errors), body)
	}
	if _, header, now := get(t, s.URL()+"/v2/metrics/config"); now != custom || header.Get("ETag") != `"1"` {
		t.Errorf("in force: %s", now)
	}
}
