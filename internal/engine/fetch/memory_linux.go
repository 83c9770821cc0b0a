package fetch

import (
	"fmt"
	"syscall"
)

// allocateLarge maps memory outside Go's heap. Pages of it cost nothing until they are written. On the heap a growing page would be
// copied, and each copy would stay until the next collection.
func allocateLarge(n int) ([]byte, error) {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("memory for a page of at most %d bytes: %w", n, err)
	}
	return b, nil
}

func freeLarge(b []byte) { _ = syscall.Munmap(b) } // it fails for what was not mapped
