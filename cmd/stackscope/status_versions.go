package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/base/version"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of what is said about versions.
const (
	maxVersionWarnings = 5
	maxVersionWorkers  = 3 // names in a warning
)

// versionWarnings says, in a line for each version, which workers are too far from the server's version. The version with the most workers
// comes first.
func versionWarnings(server string, workers []wire.Worker) (lines []string) {
	names := map[string][]string{}
	for i := range workers {
		if w := &workers[i]; version.Of(w.Version, server).TooFar() {
			names[w.Version] = append(names[w.Version], w.Name)
		}
	}
	versions := slices.SortedFunc(maps.Keys(names), func(a, b string) int { return cmp.Or(cmp.Compare(len(names[b]), len(names[a])), strings.Compare(a, b)) })
	for i, v := range versions {
		if i == maxVersionWarnings {
			return append(lines, fmt.Sprintf("warning: workers have %s more that are too far from the server's; see stackscope worker list", count(len(versions)-i, "version")))
		}
		who := names[v]
		slices.Sort(who)
		list := strings.Join(who[:min(len(who), maxVersionWorkers)], ", ")
		if more := len(who) - maxVersionWorkers; more > 0 {
			list += fmt.Sprintf(" and %d more", more)
		}
		lines = append(lines, fmt.Sprintf("warning: %s of version %s (%s). %s", count(len(who), "worker"), v, list, version.Of(v, server).Advice()))
	}
	return lines
}
