package translate

import (
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// Merge writes the families that have samples in any of the results: HELP and TYPE once, then the lines of all results in
// their order. Of results of another mapping generation it writes the families that have the same name and type. It skips nil
// results. The sources of the results must differ, or series would be written twice. The lines are not copied: the results
// must not change until dst is written.
func Merge(dst *exposition.Writer, families []mapping.Family, results ...*Result) {
	for i := range families {
		f := &families[i]
		begun := false
		for _, r := range results {
			lines := r.familyLines(f, i)
			if len(lines) == 0 {
				continue
			}
			if !begun {
				dst.Family(f.WireName, string(f.Type), f.Help)
				begun = true
			}
			dst.Refer(lines)
		}
	}
}

// familyLines returns the lines of a family. Its index is i if the result is of the same mapping generation.
func (r *Result) familyLines(f *mapping.Family, i int) []byte {
	if r == nil {
		return nil
	}
	if i >= len(r.families) || r.families[i].WireName != f.WireName {
		for i = range r.families {
			if r.families[i].WireName == f.WireName {
				break
			}
		}
	}
	if i >= len(r.families) || r.families[i].WireName != f.WireName || r.families[i].Type != f.Type {
		return nil
	}
	return r.buffers[i].text
}
