package translate_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

// TestGolden translates the pages of testdata and compares the output with that in the same file.
func TestGolden(t *testing.T) {
	for _, p := range pageFiles(t) {
		t.Run(p.name, func(t *testing.T) {
			source := translate.NewSource(p.labels)
			var result translate.Result
			var raw translate.Raw
			stats := result.Translate(p.page, p.format, p.plan, source)
			rawStats := raw.Collect(p.page, p.format, source)
			got := map[string][]byte{
				sectionUnified: merge(&result, p),
				sectionRaw:     mergeRaw(&raw),
				sectionStats:   fmt.Appendf(nil, "unified %s\nraw     %s\n", describeStats(stats), describeStats(rawStats)),
			}
			if *update {
				p.archive.Files = p.archive.Files[:1]
				for _, name := range []string{sectionStats, sectionUnified, sectionRaw} {
					p.archive.Files = append(p.archive.Files, txtar.File{Name: name, Data: got[name]})
				}
				if err := os.WriteFile(p.path, txtar.Format(p.archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for name, page := range got {
				if diff := cmp.Diff(string(p.section(name)), string(page)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func describeStats(s translate.Stats) string {
	return string(bytes.ReplaceAll(fmt.Appendf(nil, "%+v", s), []byte("\n"), []byte(" ")))
}

func merge(r *translate.Result, p *pageFile) []byte {
	var w exposition.Writer
	translate.Merge(&w, p.plan.Families(), r)
	return w.Bytes()
}

func mergeRaw(raws ...*translate.Raw) []byte {
	var w exposition.Writer
	translate.MergeRaw(&w, raws...)
	return w.Bytes()
}
