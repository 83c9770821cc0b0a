//go:build !linux

package bench

import (
	"testing"
	"time"
)

var begin = time.Now()

// threadTime returns the time that has passed: other systems do not tell a thread's processor time in the same way.
func threadTime(*testing.T) time.Duration { return time.Since(begin) }

// processTime returns the time that has passed, likewise.
func processTime(*testing.T) time.Duration { return time.Since(begin) }
