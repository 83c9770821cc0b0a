// Package nvidia reads NVIDIA cards through the driver's own library, libnvidia-ml (NVML), which it looks for when it is first
// asked. A build without cgo cannot call that library and finds no cards.
package nvidia

import "log/slog"

// vendor is the value of label vendor.
const vendor = "nvidia"

// Options configure a Backend.
type Options struct {
	Logger *slog.Logger // nil: silent
}
