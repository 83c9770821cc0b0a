package mapping

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/base/nearest"
	"github.com/stackscope/stackscope/internal/catalog"
)

const totalSuffix = "_total"

// withoutTotal is the spelling of a name that counters may have both ways.
func withoutTotal(name string) string {
	if short, ok := strings.CutSuffix(name, totalSuffix); ok && short != "" {
		return short
	}
	return name
}

// reservedFor says what else has a name on the page where unified families are exported, "" if nothing has.
func reservedFor(name string) string {
	for _, own := range [][]catalog.Metric{catalog.WorkerNode, catalog.GPU, catalog.Instance, catalog.WorkerOwn} {
		for _, m := range own {
			if withoutTotal(name) == m.Name || m.Type == catalog.Histogram && slices.Contains(histogramNames(m.Name), name) {
				return "the worker exports itself"
			}
		}
	}
	for _, prefix := range []string{catalog.Prefix + "worker_node_", "go_", "process_"} {
		if strings.HasPrefix(name, prefix) {
			return "begins with " + prefix + ", which is reserved for the worker itself"
		}
	}
	return ""
}

func histogramNames(family string) []string {
	return []string{family + "_bucket", family + "_sum", family + "_count"}
}

// sampleNames maps the names of samples to the family that writes them.
type sampleNames map[string]string

// add enters a family's sample names and returns the family that has one of them already, "" if none has.
func (s sampleNames) add(f Family) (taken string) {
	names := []string{f.WireName}
	switch f.Type {
	case catalog.Histogram:
		names = append(names, histogramNames(f.Name)...)
	case catalog.Summary:
		names = append(names, f.Name+"_sum", f.Name+"_count")
	}
	for _, name := range names {
		if other, ok := s[name]; ok {
			return other
		}
	}
	for _, name := range names {
		s[name] = f.Name
	}
	return ""
}

// Bounds of the searches for a nearest name in one document.
const (
	maxSuggestions     = 20
	maxSuggestionBytes = 100
)

// suggest returns "; did you mean ...?" for the allowed name that is nearest to the found one, "" if none is near.
func (v *validator) suggest(found string, allowed []string) string {
	if v.suggestions++; v.suggestions > maxSuggestions || len(found) > maxSuggestionBytes || len(allowed) > maxFamilies {
		return ""
	}
	name := nearest.Name(found, allowed, max(2, len(found)/4))
	if name == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", name)
}
