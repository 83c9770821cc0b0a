package worker

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
)

// checkNames holds what the operator calls the worker to the rules by which servers take it, which would refuse it later.
func (o *Options) checkNames(name string) error {
	switch fault := fleet.NameFault(o.Name); {
	case fault != "" && name == "":
		return fmt.Errorf("the host name, by which the worker would go, %s; name the worker with --worker-name", fault)
	case fault != "":
		return fmt.Errorf("--worker-name %s", fault)
	}
	if fault := fleet.NameFault(o.Cluster); fault != "" && o.Cluster != "" {
		return fmt.Errorf("--cluster %s", fault)
	}
	if n := len(o.Labels); n > fleet.MaxLabels {
		return fmt.Errorf("--worker-label is given for %d labels; at most %d are allowed", n, fleet.MaxLabels)
	}
	for _, key := range slices.Sorted(maps.Keys(o.Labels)) {
		if fault := fleet.LabelFault(key, o.Labels[key]); fault != "" {
			return fmt.Errorf("--worker-label: %s", fault)
		}
		if why := catalog.Reserved(key); why != "" {
			return fmt.Errorf("--worker-label: label %q is reserved: %s; give it another name", key, why)
		}
	}
	return nil
}
