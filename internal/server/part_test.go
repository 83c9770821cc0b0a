package server

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestRunEndsWhenAPartFails(t *testing.T) {
	o := DefaultOptions()
	o.DataDir = t.TempDir()
	o.Host, o.Port, o.MetricsPort, o.DisableBuiltinObservability = "127.0.0.1", 0, 0, true
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.metrics.ln.Close(); err != nil { // nothing can be served there any more
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Run(ctx); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "metrics listener") {
		t.Errorf("Run = %v, context %v", err, ctx.Err())
	}
}
