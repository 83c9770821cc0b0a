//go:build !linux

package fetch

func allocateLarge(n int) ([]byte, error) { return make([]byte, n), nil }

func freeLarge([]byte) {}
