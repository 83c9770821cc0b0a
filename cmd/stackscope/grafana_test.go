package main

import (
	"slices"
	"testing"

	"github.com/stackscope/stackscope/internal/grafana/install"
)

// A server is told of places where nothing is yet: what is installed there later it finds by itself.
func TestGrafanaHomes(t *testing.T) {
	t.Setenv("GPUSTACK_DATA_DIR", "/nowhere")
	for _, want := range []string{"/nowhere/grafana-home/grafana-" + install.Version, install.SystemDir + "/grafana-" + install.Version} {
		if got := grafanaHomes(); !slices.Contains(got, want) {
			t.Errorf("%v lacks %s", got, want)
		}
	}
}
