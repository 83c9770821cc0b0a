//go:build !(linux && cgo)

package nvidia

import (
	"errors"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

func TestWithoutCgo(t *testing.T) {
	b := New(Options{})
	_, err := b.Read(t.Context())
	if !errors.Is(err, gpu.ErrAbsent) || !strings.Contains(err.Error(), "cgo") {
		t.Errorf("got %v, want ErrAbsent that says why", err)
	}
	if err := b.Close(); err != nil || b.Vendor() != "nvidia" {
		t.Errorf("vendor %s closed with %v", b.Vendor(), err)
	}
}
