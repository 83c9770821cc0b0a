package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

func printed(t *testing.T, inv client.Inventory) string {
	t.Helper()
	var out strings.Builder
	if err := printInventory(&command.Env{Stdout: &out}, inv, nil); err != nil {
		t.Fatal(err)
	}
	_, instances, _ := strings.Cut(out.String(), "\nINSTANCE")
	var lines []string
	for line := range strings.Lines("INSTANCE" + instances) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestStatusShowsRoles(t *testing.T) {
	inv := client.Inventory{
		Workers: []wire.Worker{{ID: 1, Name: "n1"}},
		Models: []wire.Model{{ID: 3, Name: "llama"}, {ID: 4, Name: "qwen", Roles: []wire.ModelRole{
			{Role: "prefill", DesiredInstances: 2, ReadyInstances: 1}, {Role: "router", DesiredInstances: 1, ReadyInstances: 1},
		}}},
		Instances: []wire.ModelInstance{
			{ModelID: 3, WorkerID: 1, Name: "l", State: "running", Runtime: "vLLM", RuntimeVersion: "0.11.0"},
			{ModelID: 4, WorkerID: 1, Name: "p", State: "running", Role: "prefill", Group: "qwen", Runtime: "vLLM", RuntimeVersion: "0.11.0"},
			{WorkerID: 1, Name: "r", State: "running", Role: "router", Runtime: "vLLM", StateMessage: "no model"},
		},
	}
	want := `INSTANCE MODEL ROLE GROUP WORKER STATE RUNTIME VERSION RESTARTS WHY
l llama - - n1 running vLLM 0.11.0 0
p qwen prefill qwen n1 running vLLM 0.11.0 0
r - router - n1 running vLLM - 0 no model

MODEL ROLE READY DESIRED
qwen prefill 1 2
qwen router 1 1`
	if diff := cmp.Diff(want, printed(t, inv)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	inv.Instances, inv.Models = inv.Instances[:1], inv.Models[:1]
	want = `INSTANCE MODEL WORKER STATE RUNTIME VERSION RESTARTS WHY
l llama n1 running vLLM 0.11.0 0`
	if diff := cmp.Diff(want, printed(t, inv)); diff != "" {
		t.Errorf("without roles (-want +got):\n%s", diff)
	}
}

// A worker that does not see all of its machine has a mark, unless there is something worse to say of it.
func TestStatusMarksMissingAccess(t *testing.T) {
	prometheus := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v2/workers":
			_, _ = io.WriteString(w, `{"items":[{"id":7,"name":"gpu-7","state":"ready"},{"id":8,"name":"gpu-8","state":"not_ready","state_message":"worker stopped"},{"id":9,"name":"gpu-9","state":"ready"}]}`)
		case r.URL.Path != "/prometheus/api/v1/query":
			_, _ = io.WriteString(w, `{"version":"1","items":[]}`)
		case prometheus:
			if q := r.URL.Query().Get("query"); !strings.Contains(q, "stackscope_missing_access == 1") {
				t.Errorf("query %s", q)
			}
			_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[
				{"metric":{"worker_id":"7","access":"process_files"},"value":[1,"1"]},{"metric":{"worker_id":"7","access":"kernel_log"},"value":[1,"1"]},
				{"metric":{"worker_id":"8","access":"kernel_log"},"value":[1,"1"]}]}}`)
		default:
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	cl, err := client.New(client.Options{BaseURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	show := func() string {
		t.Helper()
		inv, err := cl.Inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := printInventory(&command.Env{Stdout: &out}, inv, cl.MissingAccess(t.Context())); err != nil {
			t.Fatal(err)
		}
		workers, _, _ := strings.Cut(out.String(), "\nINSTANCE")
		return workers
	}
	got := show()
	for _, want := range []string{"does not see all of its machine (kernel_log, process_files): stackscope doctor gpu-7\n", "worker stopped\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %q:\n%s", want, got)
		}
	}
	if strings.Count(got, "does not see") != 1 {
		t.Errorf("got\n%s", got)
	}
	prometheus = false
	if got := show(); strings.Contains(got, "does not see") || !strings.Contains(got, "gpu-7") {
		t.Errorf("without Prometheus:\n%s", got)
	}
}
