package demo

import (
	"fmt"
	"log/slog"
	"strings"
)

// Names of the scenarios.
const (
	ScenarioEngines = "engines" // four engines behind a gateway
	ScenarioPD      = "pd"      // two prefill/decode groups beside an engine
)

// Scenarios returns the names of all scenarios, first the one of DefaultOptions.
func Scenarios() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// scenario is what a demo simulates and what its summary says of it.
type scenario struct {
	name string
	// fleet names the engines in the summary's first line.
	fleet    string
	simulate func(seed uint64, logger *slog.Logger) ([]*simulated, error)
	queries  []Query
	// dashboard is the one to look at first, a path of the console and below Grafana's; empty: the first page.
	dashboard string
}

func scenarios() []scenario {
	return []scenario{
		{
			name: ScenarioEngines, fleet: "four simulated engines under load behind a simulated gateway",
			simulate: simulateEngines, queries: Queries(),
		},
		{
			name: ScenarioPD, fleet: "two simulated prefill/decode groups with their routers and one more engine, under load",
			simulate: simulateGroups, queries: groupQueries(), dashboard: "d/gpustack-pd/gpustack-pd",
		},
	}
}

func scenarioOf(name string) (scenario, error) {
	all := scenarios()
	for _, s := range all {
		if s.name == name || name == "" {
			return s, nil
		}
	}
	return scenario{}, fmt.Errorf("scenario is %q: it must be %s", name, strings.Join(Scenarios(), " or "))
}
