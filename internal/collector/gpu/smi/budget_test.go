//go:build unix

package smi

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A reading's own deadline is not the tool's fault and is told as it is.
func TestRunWithinADeadlineOfTheCaller(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Run(ctx, "sleep", "300")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "sleep 300: ") {
		t.Errorf("got %v", err)
	}
}
