package mapsync_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/mapsync"
	"github.com/stackscope/stackscope/internal/wire"
)

func newFollower(t *testing.T, path string, log *bytes.Buffer) *mapsync.Follower {
	t.Helper()
	var logger *slog.Logger
	if log != nil {
		logger = slog.New(slog.NewTextHandler(log, nil))
	}
	f, err := mapsync.NewFollower(mapsync.FollowerOptions{Path: path, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// natives says which native family of vLLM 0.9 the follower's mapping reads: "a", "b", "default" or what else it finds.
func natives(t *testing.T, f *mapsync.Follower) (string, int64) {
	t.Helper()
	c, gen := f.Current()
	plan := c.Plan("vLLM", "0.9.0")
	switch {
	case len(plan.Lookup([]byte("vllm:a"))) > 0:
		return "a", gen
	case len(plan.Lookup([]byte("vllm:b"))) > 0:
		return "b", gen
	case len(plan.Lookup([]byte("vllm:num_requests_running"))) > 0:
		return "default", gen
	}
	return "none", gen
}

func wantMapping(t *testing.T, f *mapsync.Follower, name string, generation int64) {
	t.Helper()
	if got, gen := natives(t, f); got != name || gen != generation {
		t.Errorf("mapping %s, generation %d; want %s, %d", got, gen, name, generation)
	}
}

func custom(generation int64, text string) wire.MappingEvent {
	return wire.MappingEvent{Generation: generation, Document: json.RawMessage(text)}
}

func apply(t *testing.T, f *mapsync.Follower, ev wire.MappingEvent) {
	t.Helper()
	if err := f.Apply(ev); err != nil {
		t.Fatal(err)
	}
}

func TestFollowerApplies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mapping.json")
	f := newFollower(t, path, nil)
	wantMapping(t, f, "default", 0)
	changed, cancel := f.Changed()
	defer cancel()
	apply(t, f, custom(1, customA))
	wantMapping(t, f, "a", 1)
	apply(t, f, custom(2, customB))
	if <-changed; len(changed) != 0 {
		t.Error("two changes left two notices")
	}
	apply(t, f, custom(2, customB))
	if len(changed) != 0 {
		t.Error("the same event again counts as a change")
	}
	wantMapping(t, f, "b", 2)
	apply(t, f, wire.MappingEvent{Generation: 3, Default: true})
	wantMapping(t, f, "default", 3)
	wantMapping(t, newFollower(t, path, nil), "default", 3)
	apply(t, f, custom(1, customA)) // a server that lost its database counts anew: its word is the truth
	wantMapping(t, f, "a", 1)
	wantMapping(t, newFollower(t, path, nil), "a", 1)
}

// A server that lost its database counts anew, and may come to the number that the worker has with another mapping.
func TestFollowerTakesAnotherMappingOfTheSameGeneration(t *testing.T) {
	events := map[string]wire.MappingEvent{"a": custom(3, customA), "b": custom(3, customB), "default": {Generation: 3, Default: true}}
	for before, first := range events {
		for after, second := range events {
			path := filepath.Join(t.TempDir(), "mapping.json")
			f := newFollower(t, path, nil)
			apply(t, f, first)
			changed, cancel := f.Changed()
			apply(t, f, second)
			if notified := len(changed) == 1; notified != (before != after) {
				t.Errorf("%s after %s: a change is notified: %t", after, before, notified)
			}
			cancel()
			wantMapping(t, f, after, 3)
			wantMapping(t, newFollower(t, path, nil), after, 3)
		}
	}
}

// The same mapping under another number is another generation.
func TestFollowerCountsGenerations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mapping.json")
	f := newFollower(t, path, nil)
	for _, generation := range []int64{7, 8, 1} {
		for name, ev := range map[string]wire.MappingEvent{"a": custom(generation, customA), "default": {Generation: generation, Default: true}} {
			apply(t, f, ev)
			wantMapping(t, f, name, generation)
			wantMapping(t, newFollower(t, path, nil), name, generation)
		}
	}
	apply(t, f, custom(7, customA))
	apply(t, f, custom(8, customA))
	wantMapping(t, f, "a", 8)
	wantMapping(t, newFollower(t, path, nil), "a", 8)
	apply(t, f, wire.MappingEvent{Generation: 8, Default: true})
	apply(t, f, wire.MappingEvent{Generation: 9, Default: true})
	wantMapping(t, f, "default", 9)
	wantMapping(t, newFollower(t, path, nil), "default", 9)
}

func TestFollowerRefusesWhatItCannotCompile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mapping.json")
	f := newFollower(t, path, nil)
	apply(t, f, custom(4, customA))
	changed, cancel := f.Changed()
	defer cancel()
	for _, ev := range []wire.MappingEvent{
		custom(5, strings.Replace(customA, `"gauge"`, `"native_histogram"`, 1)),
		custom(5, `{"gpustack_metrics":null}`),
		custom(5, `null`),
		custom(-1, customB),
		{Generation: 5},
	} {
		err := f.Apply(ev)
		if err == nil || !strings.Contains(err.Error(), "generation 4 stays active") || strings.Contains(err.Error(), "\n") {
			t.Errorf("Apply(%s) = %v", ev.Document, err)
		}
		wantMapping(t, f, "a", 4)
		wantMapping(t, newFollower(t, path, nil), "a", 4)
	}
	if len(changed) != 0 {
		t.Error("a refused mapping counts as a change")
	}
}

// GPUStack's worker falls back to its built-in mapping whenever the server cannot be reached.
func TestGPUStackBug02_CustomMappingOutlivesTheServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mapping.json")
	apply(t, newFollower(t, path, nil), custom(7, customB))
	wantMapping(t, newFollower(t, path, nil), "b", 7) // a restart without any server
}

func TestFollowerSurvivesABadFile(t *testing.T) {
	for name, content := range map[string]string{
		"cut off":           `{"generation":3,"docu`,
		"empty":             "",
		"another program's": "\x00\x01\x02",
		"unknown mapping":   `{"generation":3,"document":{"gpustack_metrics":{"x":{"type":"spiral"}}}}`,
		"nothing in it":     `{}`,
		"too long":          strings.Repeat(" ", 2*mapping.MaxDocumentBytes+1),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mapping.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			f := newFollower(t, path, &log)
			wantMapping(t, f, "default", 0)
			if !strings.Contains(log.String(), path+".bad") || strings.Count(log.String(), "\n") != 1 {
				t.Errorf("log: %s", log.String())
			}
			kept, err := os.ReadFile(path + ".bad")
			if err != nil || string(kept) != content {
				t.Errorf("kept aside: %.40q, %v", kept, err)
			}
			apply(t, f, custom(3, customA))
			wantMapping(t, newFollower(t, path, nil), "a", 3)
		})
	}
}

func TestFollowerAppliesWithoutADisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gone", "mapping.json")
	var log bytes.Buffer
	f := newFollower(t, path, &log)
	apply(t, f, custom(1, customA))
	apply(t, f, custom(2, customB))
	wantMapping(t, f, "b", 2)
	if got := strings.Count(log.String(), "could not be saved to disk"); got == 0 {
		t.Errorf("log: %s", log.String())
	}
	if err := os.Mkdir(filepath.Join(dir, "gone"), 0o700); err != nil {
		t.Fatal(err)
	}
	apply(t, f, custom(2, customB)) // the same event once more: the disk gets its chance
	wantMapping(t, newFollower(t, path, nil), "b", 2)
	wantMapping(t, newFollower(t, "", nil), "default", 0)
}

// The follower's mapping is its own: the event's memory may be used again, and other users of the machine do not read the file.
func TestFollowerKeepsACopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mapping.json")
	f := newFollower(t, path, nil)
	document := []byte(customA)
	apply(t, f, wire.MappingEvent{Generation: 1, Document: document})
	for i := range document {
		document[i] = ' '
	}
	changed, cancel := f.Changed()
	defer cancel()
	apply(t, f, custom(1, customA))
	if len(changed) != 0 {
		t.Error("the same event again counts as a change")
	}
	wantMapping(t, newFollower(t, path, nil), "a", 1)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestFollowerTakesTheLargestDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mapping.json")
	f := newFollower(t, path, nil)
	apply(t, f, custom(1, largest()))
	wantMapping(t, newFollower(t, path, nil), "a", 1)
}
