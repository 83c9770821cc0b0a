//go:build race

package demo

// slowness is what the race detector costs.
const slowness = 4
