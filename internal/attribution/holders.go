package attribution

import (
	"maps"
	"slices"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// Holders returns the keys of the instances whose processes use a GPU now, sorted. known is false if its driver does not list processes, or
// the GPU was not read lately.
func (a *Attribution) Holders(id gpu.Identity) (instances []string, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.devices[deviceKey{id.Vendor, id.Index, id.Chip, id.UUID}]
	if !ok || !c.known || !a.current(c, time.Now()) {
		return nil, false
	}
	for _, key := range slices.Sorted(maps.Keys(c.uses)) {
		if c.uses[key].here {
			instances = append(instances, key)
		}
	}
	return instances, true
}
