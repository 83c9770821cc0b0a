//go:build !linux

package engine

func allocateLarge(n int) ([]byte, error) { return make([]byte, n), nil }

func freeLarge([]byte) {}
