package worker

import (
	"runtime/debug"

	"github.com/stackscope/stackscope/internal/base/budget"
)

// Memory of the metrics of the machine and its GPUs, and of each engine.
const (
	baseMemory   = 24 << 20
	engineMemory = 2 << 20
)

// MinLargePagesMemory is the least LargePagesMemory, in MiB. It is enough for one page of the largest size.
const MinLargePagesMemory = 28

// limitMemory sets Go's memory limit. Large pages are rare, and without a limit their garbage would stay until the heap has grown by
// half.
func limitMemory(engines int, shared budget.Budget) {
	// Large pages are mapped outside Go's heap; only their results count.
	debug.SetMemoryLimit(baseMemory + int64(engines)*engineMemory + shared.Results.Size())
}
