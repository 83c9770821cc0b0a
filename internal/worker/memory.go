package worker

import "runtime/debug"

// Memory above which garbage is not left lying about: what the machine's and the cards' metrics and large pages need, and what
// each engine may.
const (
	baseMemory   = 24 << 20
	engineMemory = 2 << 20
)

// Bounds of LargePagesMemory, in MiB. There is always room for one page of the largest size.
const (
	minLargePagesMemory = 28
	maxLargePagesMemory = 16 << 10
)

// largePages returns the part of the memory for large pages, in MiB, that is the pages' own, in bytes.
func largePages(mib int) int64 { return int64(mib) << 20 * 4 / 7 }

// limitMemory tells Go how much memory a worker with so many engines should take at most. Pages beyond the usual size come
// seldom or by mistake, and what they leave behind must not stay until the heap has doubled.
func limitMemory(engines, large int) {
	// The pages themselves lie outside Go's memory.
	debug.SetMemoryLimit(baseMemory + int64(engines)*engineMemory + int64(large)<<20 - largePages(large))
}
