package prom

import (
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/targetgroup"

	"github.com/stackscope/stackscope/internal/targets"
)

// convertGroups converts groups to Prometheus' type. A group's source is unique within its job, as Prometheus requires.
func convertGroups(job string, groups []targets.Group) []*targetgroup.Group {
	out := make([]*targetgroup.Group, 0, len(groups))
	for i, g := range groups {
		tg := &targetgroup.Group{
			Source:  fmt.Sprintf("%s/%d", job, i),
			Targets: make([]model.LabelSet, len(g.Targets)),
			Labels:  make(model.LabelSet, len(g.Labels)),
		}
		for j, address := range g.Targets {
			tg.Targets[j] = model.LabelSet{model.AddressLabel: model.LabelValue(address)}
		}
		for name, value := range g.Labels {
			tg.Labels[model.LabelName(name)] = model.LabelValue(value)
		}
		out = append(out, tg)
	}
	return out
}

// addresses returns the targets of groups.
func addresses(groups []targets.Group) (all []string) {
	for _, g := range groups {
		all = append(all, g.Targets...)
	}
	return all
}
