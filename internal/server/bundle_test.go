package server

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stackscope/stackscope/internal/bundle"
)

// A relative directory may be a word that the programs' own texts have: it is no name, else they would lack it.
func TestMachineNames(t *testing.T) {
	for _, tt := range []struct {
		dir  string
		want bool
	}{
		{"data", false},
		{"s", false},
		{"./zaphod", true},
		{filepath.Join(t.TempDir(), "zaphod"), true},
	} {
		s := &Server{opts: Options{DataDir: tt.dir}}
		names := s.machineNames(func(string) string { return "" })
		if got := slices.Contains(names, bundle.Name{Kind: bundle.Path, Text: tt.dir}); got != tt.want {
			t.Errorf("%s: %t among %v", tt.dir, got, names)
		}
	}
}
