package translate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stackscope/stackscope/internal/translate"
)

// TestEnginePages shows what the built-in mapping makes of pages that have the peculiar things of each engine.
func TestEnginePages(t *testing.T) {
	paths, err := filepath.Glob("testdata/engines/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pages in testdata/engines: %v", err)
	}
	for _, path := range paths {
		p := readPageFile(t, path)
		t.Run(p.name, func(t *testing.T) {
			var result translate.Result
			stats := result.Translate(p.page, p.format, p.plan, translate.NewSource(p.labels))
			got := []txtar.File{
				{Name: sectionStats, Data: fmt.Appendf(nil, "%s\n", describeStats(stats))},
				{Name: sectionUnified, Data: merge(&result, p)},
			}
			if *update {
				p.archive.Files = append(p.archive.Files[:1], got...)
				if err := os.WriteFile(p.path, txtar.Format(p.archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range got {
				if diff := cmp.Diff(string(p.section(f.Name)), string(f.Data)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", f.Name, diff)
				}
			}
		})
	}
}
