package mapping

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stackscope/stackscope/configs"
)

// FuzzDecode: no input panics; what is accepted keeps its meaning through both encodings and compiles. An overlay and its effective
// document are both such.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(configs.MetricsConfig)
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := Decode(data)
		if err != nil {
			faults, ok := errors.AsType[Faults](err)
			if !ok || len(faults) == 0 || len(faults) > MaxFaults || doc != nil {
				t.Fatalf("Decode returned %v, %T with %d faults", doc, err, len(faults))
			}
			return
		}
		roundTrip(t, doc)
		effective := doc.Effective()
		roundTrip(t, effective)
		if effective.Extends() != "" || effective.Effective() != effective || (effective == doc) != (doc.Extends() == "") {
			t.Fatalf("a document that extends %q has an effective one that extends %q", doc.Extends(), effective.Extends())
		}
		if overlay, err := doc.AsOverlay(); err == nil {
			roundTrip(t, overlay)
			roundTrip(t, overlay.Effective())
		}
		c, err := Compile(doc)
		if err != nil {
			t.Fatalf("Compile: %v", err)
		}
		if v := Vanishing(c, c); v != nil {
			t.Fatalf("without a change vanishes %v", v)
		}
		for _, r := range effective.runtimes {
			for _, version := range []string{"", "0.9.2rc2.dev4+gabc", "dev"} {
				for native, targets := range c.Plan(r.name, version).natives {
					for _, target := range targets {
						if target.Family < 0 || target.Family >= len(c.Families()) || target.Rank < 0 {
							t.Fatalf("%q has the target %+v", native, target)
						}
					}
				}
			}
		}
	})
}
