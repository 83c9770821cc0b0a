package server

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stackscope/stackscope/internal/bundle"
)

// A relative directory and a well-known password may be words that the programs' own texts have: they are no names, else the texts would
// lack them.
func TestMachineNames(t *testing.T) {
	for _, tt := range []struct {
		dir      string
		want     bool
		password string
	}{
		{"data", false, "grafana"},
		{"s", false, "blimfarg"},
		{"./zaphod", true, "grafana"},
		{filepath.Join(t.TempDir(), "zaphod"), true, "blimfarg"},
	} {
		s := &Server{opts: Options{DataDir: tt.dir}}
		s.opts.Grafana.AdminPassword = tt.password
		names := s.machineNames(func(string) string { return "" })
		if got := slices.Contains(names, bundle.Name{Kind: bundle.Text, Text: s.opts.Grafana.AdminPassword}); got != (tt.password != "grafana") {
			t.Errorf("%s: %t among %v", tt.password, got, names)
		}
		if got := slices.Contains(names, bundle.Name{Kind: bundle.Path, Text: tt.dir}); got != tt.want {
			t.Errorf("%s: %t among %v", tt.dir, got, names)
		}
	}
}
