package smi

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

func TestTool(t *testing.T) {
	var log bytes.Buffer
	tool := NewTool("vendor", "vendor-smi", Options{
		Run: func(_ context.Context, name string, args ...string) ([]byte, error) {
			return []byte(name + " " + strings.Join(args, " ")), nil
		},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if out, err := tool.Run(t.Context(), "-q", "-x"); string(out) != "vendor-smi -q -x" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
	tool.See(nil)
	if err := tool.None(); tool.Seen() || !errors.Is(err, gpu.ErrAbsent) || !strings.Contains(err.Error(), "vendor-smi") {
		t.Errorf("before there were GPUs: %v, %v", tool.Seen(), err)
	}
	tool.See(make([]gpu.Device, 2))
	tool.See(make([]gpu.Device, 3))
	if err := tool.None(); !tool.Seen() || err != nil {
		t.Errorf("after there were GPUs: %v, %v", tool.Seen(), err)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "component=gpu_vendor") || !strings.Contains(text, "gpus=2") {
		t.Errorf("logged %q", text)
	}
}
