package server

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/metricspage"
	"github.com/stackscope/stackscope/internal/catalog"
)

// Everything that a worker exports may come from it, and nothing that only the server exports.
func TestFamiliesOfWorkersAndServer(t *testing.T) {
	refused := map[string]bool{}
	for _, name := range serverFamilies() {
		refused[name] = true
	}
	for _, m := range slices.Concat(catalog.Runtime, catalog.RuntimeExtra, catalog.Gateway, catalog.WorkerNode, catalog.GPU, catalog.Instance, catalog.WorkerOwn) {
		for _, name := range m.SampleNames() {
			if refused[name] || strings.HasPrefix(name, "prometheus_") {
				t.Errorf("%s of a worker is refused", name)
			}
		}
	}
	process, err := metricspage.NewProcess()
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := process.AppendTo(&page); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(page.String()) {
		if name, _, _ := strings.Cut(strings.NewReplacer("{", " ").Replace(line), " "); refused[name] {
			t.Errorf("%s of a worker's process is refused", name)
		}
	}
	for _, name := range []string{
		"gpustack:cluster_status", "stackscope_prometheus_up", "stackscope_query_wait_seconds_bucket", "stackscope_query_wait_seconds_count",
		"stackscope_query_wait_seconds_sum", "stackscope_query_refused_total", "stackscope_connections", "stackscope_grafana_up", "gpustack:bus_events_total",
	} {
		if !refused[name] {
			t.Errorf("a worker may export %s", name)
		}
	}
}
