package worker

import (
	"runtime/debug"

	"github.com/stackscope/stackscope/internal/base/budget"
)

// What the metrics of the machine and its GPUs need, and what each engine may.
const (
	baseMemory   = 24 << 20
	engineMemory = 2 << 20
)

// MinLargePagesMemory is the least LargePagesMemory, in MiB: with it it holds one page of the largest size.
const MinLargePagesMemory = 28

// limitMemory sets the memory that Go may use before it collects garbage at any price. A large page is rare or a mistake, and its
// garbage must not stay until the heap has grown by half.
func limitMemory(engines int, shared budget.Budget) {
	// Pages are outside Go's heap, their results in it.
	debug.SetMemoryLimit(baseMemory + int64(engines)*engineMemory + shared.Results.Size())
}
