// Package nvidia reads NVIDIA GPUs through the driver's own library, libnvidia-ml (NVML), which it looks for when it is first
// asked. A build without cgo cannot call that library and finds no GPUs.
package nvidia

import "log/slog"

// vendor is the value of label vendor.
const vendor = "nvidia"

// Options configure a Backend.
type Options struct {
	Logger *slog.Logger // nil: silent
}
