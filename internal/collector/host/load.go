package host

import (
	"context"
	"fmt"

	"github.com/stackscope/stackscope/internal/catalog"
)

// maxLoad is more tasks than Linux can have: it numbers them with 22 bits.
const maxLoad = 1 << 22

// readLoad reads the three means of /proc/loadavg.
func (r *hostFS) readLoad(context.Context) ([]sample, error) {
	path := r.path("proc", "loadavg")
	proc, err := r.procfs()
	if err != nil {
		return nil, err
	}
	load, err := proc.LoadAvg()
	if err != nil {
		return nil, errorAt(path, err)
	}
	samples := []sample{
		{metric: &catalog.WorkerNodeLoad1, value: load.Load1},
		{metric: &catalog.WorkerNodeLoad5, value: load.Load5},
		{metric: &catalog.WorkerNodeLoad15, value: load.Load15},
	}
	for _, s := range samples {
		if !(s.value >= 0 && s.value <= maxLoad) { // procfs also takes NaN, Inf and negative numbers
			return nil, fmt.Errorf("%s: got %v, want a load between 0 and %d", path, s.value, maxLoad)
		}
	}
	return samples, nil
}
