package instances

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/exporter"
)

// The state that revision 8d30d44 wrote is read: identity, names, ids and restarts are what they were, and the next save keeps them under
// the same keys.
func TestStateOfAnOlderRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "worker.json")
		old, err := os.ReadFile("testdata/worker-8d30d44.json")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		m := newManager(t, dir, func(o *Options) {
			if o.Store, err = OpenStore(path, "http://server", o.Logger); err != nil {
				t.Fatal(err)
			}
			o.Fetcher = fetch.New(fetch.Options{Transport: &network{}})
			o.Declared = declare(t, engine.Declaration{URL: "http://127.0.0.1:9", Model: "qwen", Instance: "own"})
		})
		want := Identity{
			UUID: "VMSVL66FEXSX5VMHR6XDOXIEIJ", Server: "http://server", WorkerID: 7, WorkerName: "node-1", ClusterID: 2, ClusterName: "lab", Credential: "credential-1",
		}
		if diff := cmp.Diff(want, m.store.Identity()); diff != "" {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
		second, third := at(8, "qwen"), at(10, "llama")
		second.Key, second.Instance, second.URL = "docker:c:2", "twin", "http://127.0.0.1:2"
		third.Key, third.URL = "process:3", "http://127.0.0.1:3"
		if got := m.meets(t, second, third); got != "own, twin-2, llama-n1-3" {
			t.Errorf("instances are %s", got)
		}
		var got []exporter.Instance
		for _, in := range m.Instances() {
			got = append(got, in.Instance())
		}
		if diff := cmp.Diff([]exporter.Instance{
			{Name: "own", Model: "qwen", ID: "40", ModelID: "5"},
			{Name: "twin-2", Model: "qwen", ID: "42", ModelID: "5", Runtime: "vLLM"},
			{Name: "llama-n1-3", Model: "llama", ID: "43", ModelID: "6", Runtime: "vLLM"},
		}, got); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
		if n := m.Instances()[2].Status().RestartCount; n != 1 {
			t.Errorf("%d restarts, want 1", n)
		}

		if !m.Save() {
			t.Error("the state cannot be saved")
		}
		saved, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(stable(t, old), stable(t, saved)); diff != "" {
			t.Errorf("state (-old +saved):\n%s", diff)
		}
	})
}

// stable decodes a state without what each save may change or add.
func stable(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var state map[string]any
	if err := json.Unmarshal(data, &state); err != nil {
		t.Fatal(err)
	}
	for _, e := range state["engines"].(map[string]any) {
		for _, key := range []string{"seen_at", "url", "there", "state", "since"} {
			delete(e.(map[string]any), key)
		}
	}
	return state
}

// A rollback of a worker: what a newer version added to worker.json is dropped, and the identity stays.
func TestStateOfANewerVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker.json")
	old, err := os.ReadFile("testdata/worker-8d30d44.json")
	if err != nil {
		t.Fatal(err)
	}
	var state map[string]any
	if err := json.Unmarshal(old, &state); err != nil {
		t.Fatal(err)
	}
	state["later"] = map[string]any{"of": []any{1, "two"}}
	engines, _ := state["engines"].(map[string]any)
	if len(engines) == 0 {
		t.Fatalf("no engines in %s", old)
	}
	for _, e := range engines {
		e.(map[string]any)["later"] = true
	}
	newer, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	var stores []*Store
	for _, data := range [][]byte{old, newer} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(path, "http://server", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		stores = append(stores, s)
	}
	if diff := cmp.Diff(stores[0].Identity(), stores[1].Identity()); diff != "" || stores[1].Identity().WorkerID != 7 {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(stores[0].state.Engines, stores[1].state.Engines, cmp.AllowUnexported(engineState{})); diff != "" {
		t.Errorf("engines (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(path + ".bad"); err == nil {
		t.Error("the file was moved aside")
	}
}
