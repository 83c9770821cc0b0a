package worker

import "runtime/debug"

// Memory above which garbage is not left lying about: what the machine's and the cards' metrics and large pages need, and what
// each engine may.
const (
	baseMemory   = 40 << 20
	engineMemory = 2 << 20
)

// limitMemory tells Go how much memory a worker with so many engines should take at most. Pages beyond the usual size come
// seldom or by mistake, and what they leave behind must not stay until the heap has doubled.
func limitMemory(engines int) { debug.SetMemoryLimit(baseMemory + int64(engines)*engineMemory) }
