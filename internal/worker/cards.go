package worker

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/amd"
	"github.com/stackscope/stackscope/internal/collector/gpu/ascend"
	"github.com/stackscope/stackscope/internal/collector/gpu/cambricon"
	"github.com/stackscope/stackscope/internal/collector/gpu/fake"
	"github.com/stackscope/stackscope/internal/collector/gpu/hygon"
	"github.com/stackscope/stackscope/internal/collector/gpu/iluvatar"
	"github.com/stackscope/stackscope/internal/collector/gpu/intel"
	"github.com/stackscope/stackscope/internal/collector/gpu/metax"
	"github.com/stackscope/stackscope/internal/collector/gpu/mthreads"
	"github.com/stackscope/stackscope/internal/collector/gpu/nvidia"
	"github.com/stackscope/stackscope/internal/collector/gpu/thead"
)

// vendor is a maker of cards that can be read.
type vendor struct {
	name string
	open func(root string, logger *slog.Logger) gpu.Backend
}

// vendors lists the makers in the order in which their cards are exported.
func vendors() []vendor {
	return []vendor{
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
}

// none switches a list of things off.
const none = "none"

// checkVendors refuses names that no vendor has.
func checkVendors(names []string) error {
	if len(names) == 1 && names[0] == none {
		return nil
	}
	known := make([]string, 0, len(vendors()))
	for _, v := range vendors() {
		known = append(known, v.name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("--gpu-vendors %q: vendors are %s; %s reads no cards", name, strings.Join(known, ", "), none)
		}
	}
	return nil
}

func (o *Options) checkCards() error {
	switch {
	case o.FakeGPUs < 0 || o.FakeGPUs > fake.MaxDevices:
		return fmt.Errorf("--fake-gpus %d: give 0 to %d", o.FakeGPUs, fake.MaxDevices)
	case o.ExpectedGPUs < 0 || o.ExpectedGPUs > maxExpected:
		return fmt.Errorf("--expected-gpus %d: give 0 to %d", o.ExpectedGPUs, maxExpected)
	}
	return checkVendors(o.GPUVendors)
}

// maxExpected bounds the cards that a node may be said to have.
const maxExpected = 1024

// backends returns the readers of the cards: of the vendors named, or of all.
func backends(names []string, root string, logger *slog.Logger) []gpu.Backend {
	var list []gpu.Backend
	for _, v := range vendors() {
		if len(names) == 0 || slices.Contains(names, v.name) {
			list = append(list, v.open(root, logger))
		}
	}
	return list
}
