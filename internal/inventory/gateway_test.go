package inventory_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// A gateway is an instance without a model: it makes none, keeps none alive and comes back after a restart.
func TestInstanceWithoutModel(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	id := join(t, inv, registration("a")).Worker.ID
	gateway := engine("proxy", "")
	gateway.Runtime, gateway.RuntimeVersion = "LiteLLM", ""
	got := report(t, inv, id, gateway, engine("e", "qwen"))
	if diff := cmp.Diff([]fleet.ReportedIDs{{Name: "proxy", InstanceID: 1}, {Name: "e", InstanceID: 2, ModelID: 1}}, got); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	want := `
		cluster 1 default Docker ready
		worker 1 c1 a uuid-a ready
		model 1 c1 qwen vLLM 0.11.0 desired=1
		instance 1 m0 w1 proxy running
		instance 2 m1 w1 e running
	`
	wantSummary(t, inv, want)
	wantSummary(t, newInventory(t, s), want)
	var w exposition.Writer
	inv.WriteMetrics(&w)
	const info = `gpustack:model_instance_info{cluster_id="1",cluster_name="default",worker_id="1",worker_name="a",model_instance_name="proxy",runtime="LiteLLM",runtime_version="unknown"} 1`
	if !strings.Contains(string(w.Bytes()), info) {
		t.Errorf("the page has no line %s:\n%s", info, w.Bytes())
	}

	// What was taken for an engine turns out to be a gateway, and the other way round.
	was := engine("e", "")
	was.Runtime = "Higress"
	report(t, inv, id, engine("proxy", "llama"), was)
	wantSummary(t, inv, `
		cluster 1 default Docker ready
		worker 1 c1 a uuid-a ready
		model 1 c1 qwen vLLM 0.11.0 desired=0
		model 2 c1 llama vLLM 0.11.0 desired=1
		instance 1 m2 w1 proxy running
		instance 2 m0 w1 e running
	`)
	report(t, inv, id, was)
	if err := inv.RemoveWorker(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := inv.Snapshot(); len(got.Instances) != 0 {
		t.Errorf("left are %+v", got.Instances)
	}
}
