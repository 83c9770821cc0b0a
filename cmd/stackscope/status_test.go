package main

import (
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
	if err := printInventory(&command.Env{Stdout: &out}, inv); err != nil {
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
