package demo

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/simengine"
)

// Every member of a group is declared with its model and its role; the engine beside the groups has none.
func TestGroupsAreDeclared(t *testing.T) {
	engines, err := simulateGroups(1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	roles := map[string]map[string]int{}
	names := map[string]bool{}
	for _, e := range engines {
		defer func() { _ = e.listener.Close() }()
		d, err := engine.ParseDeclaration(e.declaration())
		if err != nil {
			t.Errorf("%s: %v", e.declaration(), err)
			continue
		}
		if names[d.Instance] {
			t.Errorf("two engines have the name %s", d.Instance)
		}
		names[d.Instance] = true
		if roles[d.Model] == nil {
			roles[d.Model] = map[string]int{}
		}
		roles[d.Model][string(d.Role)]++
	}
	for model, want := range map[string]map[string]int{
		"qwen3-32b":     {simengine.RolePrefill: 2, simengine.RoleDecode: 1, simengine.RoleRouter: 1},
		"deepseek-v3.2": {simengine.RolePrefill: 1, simengine.RoleDecode: 1, simengine.RoleRouter: 1},
		"qwen3-8b":      {"": 1},
	} {
		for role, n := range want {
			if roles[model][role] != n {
				t.Errorf("%s has %v, want %v", model, roles[model], want)
			}
		}
	}
	if len(engines) != 8 {
		t.Errorf("%d engines", len(engines))
	}
}

func TestUnknownScenario(t *testing.T) {
	o := DefaultOptions()
	if o.Scenario != Scenarios()[0] {
		t.Errorf("the default is %q, the first of %v", o.Scenario, Scenarios())
	}
	o.Scenario, o.DataDir = "dp", t.TempDir()
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), `scenario is "dp": it must be engines or pd`) {
		t.Error(err)
	}
	if s, err := scenarioOf(""); err != nil || s.name != ScenarioEngines {
		t.Errorf("without a name: %q, %v", s.name, err)
	}
}
