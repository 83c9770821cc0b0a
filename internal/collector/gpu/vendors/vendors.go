// Package vendors lists the vendors whose GPUs can be read.
package vendors

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/amd"
	"github.com/stackscope/stackscope/internal/collector/gpu/ascend"
	"github.com/stackscope/stackscope/internal/collector/gpu/cambricon"
	"github.com/stackscope/stackscope/internal/collector/gpu/hygon"
	"github.com/stackscope/stackscope/internal/collector/gpu/iluvatar"
	"github.com/stackscope/stackscope/internal/collector/gpu/intel"
	"github.com/stackscope/stackscope/internal/collector/gpu/metax"
	"github.com/stackscope/stackscope/internal/collector/gpu/mthreads"
	"github.com/stackscope/stackscope/internal/collector/gpu/nvidia"
	"github.com/stackscope/stackscope/internal/collector/gpu/thead"
)

type vendor struct {
	name string
	open func(root string, logger *slog.Logger) gpu.Backend
}

// list is in the order in which GPUs are exported.
var list = []vendor{
	{"nvidia", func(_ string, l *slog.Logger) gpu.Backend { return nvidia.New(nvidia.Options{Logger: l}) }},
	{"amd", func(root string, l *slog.Logger) gpu.Backend { return amd.New(amd.Options{Root: root, Logger: l}) }},
	{"ascend", func(_ string, l *slog.Logger) gpu.Backend { return ascend.New(ascend.Options{Logger: l}) }},
	{"intel", func(root string, l *slog.Logger) gpu.Backend { return intel.New(intel.Options{Root: root, Logger: l}) }},
	{"hygon", func(_ string, l *slog.Logger) gpu.Backend { return hygon.New(hygon.Options{Logger: l}) }},
	{"metax", func(_ string, l *slog.Logger) gpu.Backend { return metax.New(metax.Options{Logger: l}) }},
	{"mthreads", func(_ string, l *slog.Logger) gpu.Backend { return mthreads.New(mthreads.Options{Logger: l}) }},
	{"iluvatar", func(_ string, l *slog.Logger) gpu.Backend { return iluvatar.New(iluvatar.Options{Logger: l}) }},
	{"cambricon", func(_ string, l *slog.Logger) gpu.Backend { return cambricon.New(cambricon.Options{Logger: l}) }},
	{"thead", func(_ string, l *slog.Logger) gpu.Backend { return thead.New(thead.Options{Logger: l}) }},
}

// None stands for no vendor at all, if it is the only name.
const None = "none"

// Check returns an error for a name that is neither a vendor's nor None alone.
func Check(names []string) error {
	if len(names) == 1 && names[0] == None {
		return nil
	}
	known := make([]string, 0, len(list))
	for _, v := range list {
		known = append(known, v.name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%q: vendors are %s; %s reads no GPUs", name, strings.Join(known, ", "), None)
		}
	}
	return nil
}

// Backends returns what reads the GPUs of the named vendors, or of all if none is named. root is where the machine's file system is
// mounted.
func Backends(names []string, root string, logger *slog.Logger) []gpu.Backend {
	var backends []gpu.Backend
	for _, v := range list {
		if len(names) == 0 || slices.Contains(names, v.name) {
			backends = append(backends, v.open(root, logger))
		}
	}
	return backends
}
