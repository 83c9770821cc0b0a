package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/command"
)

// "nothing was put in place" is said of an interruption alone that came before.
func TestInterruptedRestore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, e := &restoreCmd{File: "b.tar"}, &command.Env{Context: ctx}
	if err := c.failed(e, context.Canceled, false); !strings.Contains(err.Error(), "nothing was put in place") {
		t.Error(err)
	}
	full := errors.New("no space left; the backup is not complete")
	if err := c.failed(e, full, true); !errors.Is(err, full) || strings.Contains(err.Error(), "nothing") {
		t.Error(err)
	}
}
