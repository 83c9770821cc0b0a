package mapping

import (
	"slices"

	"github.com/stackscope/stackscope/internal/catalog"
)

// VanishingMetric is a unified metric that runtimes no longer get.
type VanishingMetric struct {
	// Metric is the name on the page: a counter has _total.
	Metric   string
	Runtimes []string
}

// Vanishing lists the unified metrics that a runtime has under before, in any of its versions, and no longer has under after. A
// metric that becomes a histogram or a summary, or no longer is one, vanishes, since none of its series stays. Metrics and
// runtimes are in the order of before.
func Vanishing(before, after *Compiled) []VanishingMetric {
	if before == nil || after == nil {
		return nil
	}
	runtimes := make([][]string, len(before.families)) // by family
	for i := range before.runtimes {
		r := &before.runtimes[i]
		stays := map[outcome]bool{}
		if at := after.runtime(r.name); at >= 0 {
			for family := range after.fed(&after.runtimes[at]) {
				stays[outcomeOf(after.families[family])] = true
			}
		}
		for family := range before.fed(r) {
			if !stays[outcomeOf(before.families[family])] && !slices.Contains(runtimes[family], r.name) {
				runtimes[family] = append(runtimes[family], r.name)
			}
		}
	}
	var list []VanishingMetric
	for i, names := range runtimes {
		if len(names) > 0 {
			list = append(list, VanishingMetric{Metric: before.families[i].WireName, Runtimes: names})
		}
	}
	return list
}

// outcome is what a family writes.
type outcome struct {
	name string
	// shape is the type where it decides how samples are called, else empty: a gauge's have one name like a counter's.
	shape catalog.Type
}

func outcomeOf(f Family) outcome {
	o := outcome{name: f.WireName}
	if f.Type == catalog.Histogram || f.Type == catalog.Summary {
		o.shape = f.Type
	}
	return o
}

// fed returns the indexes of the families that a runtime feeds in any version.
func (c *Compiled) fed(r *runtimeMapping) map[int]bool {
	fed := map[int]bool{}
	for _, ranges := range r.ranges {
		for _, e := range ranges.entries {
			for _, t := range e.targets {
				fed[c.index[t.family]] = true
			}
		}
	}
	return fed
}
