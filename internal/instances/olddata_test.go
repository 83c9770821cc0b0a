package instances

import (
	"encoding/json"
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
