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
	tool.RecordDevices(nil)
	if err := tool.NoDevices(); tool.HadDevices() || !errors.Is(err, gpu.ErrAbsent) || !strings.Contains(err.Error(), "vendor-smi") {
		t.Errorf("before there were GPUs: %v, %v", tool.HadDevices(), err)
	}
	broken := errors.New("broken")
	if err := tool.NoDevices(nil, broken); err != broken { //nolint:errorlint // the very error
		t.Errorf("with an error of the reading: %v", err)
	}
	tool.RecordDevices(make([]gpu.Device, 2))
	tool.RecordDevices(make([]gpu.Device, 3))
	if err := tool.NoDevices(); !tool.HadDevices() || err != nil {
		t.Errorf("after there were GPUs: %v, %v", tool.HadDevices(), err)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "component=gpu_vendor") || !strings.Contains(text, "gpus=2") {
		t.Errorf("logged %q", text)
	}
}
