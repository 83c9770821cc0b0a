//go:build !race

package demo

const slowness = 1
