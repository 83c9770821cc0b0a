package session

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
)

// CheckNames returns an error for a name or a label with which a server would refuse the registration.
func CheckNames(worker, cluster string, labels map[string]string) error {
	if fault := fleet.NameFault(worker); fault != "" {
		return fmt.Errorf("--worker-name %s", fault)
	}
	if fault := fleet.NameFault(cluster); fault != "" && cluster != "" {
		return fmt.Errorf("--cluster %s", fault)
	}
	if n := len(labels); n > fleet.MaxLabels {
		return fmt.Errorf("--worker-label is given for %d labels; at most %d are allowed", n, fleet.MaxLabels)
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if fault := fleet.LabelFault(key, labels[key]); fault != "" {
			return fmt.Errorf("--worker-label: %s", fault)
		}
		if why := catalog.Reserved(key); why != "" {
			return fmt.Errorf("--worker-label: label %q is reserved: %s; give it another name", key, why)
		}
	}
	return nil
}
