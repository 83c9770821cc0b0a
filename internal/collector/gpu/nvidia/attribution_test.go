//go:build linux && cgo

package nvidia

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/attribution"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/exposition"
)

// The whole way from the library to the instances: on GPU 0 of the mock are two instances, and one of them is on GPU 1, too.
// On each GPU the memory of instances and what is not accounted for add up to what the driver says is used.
func TestInstancesOfTheGPUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shares := attribution.New(func(p gpu.Process) (string, bool) {
			name, ok := map[int]string{4100: "small", 4101: "tensor-parallel"}[p.PID]
			return name, ok
		})
		set, err := gpu.New(gpu.Options{Backends: []gpu.Backend{newBackend(a100(), Options{})}, Root: t.TempDir(), OnReading: shares.Observe})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go set.Run(ctx)
		time.Sleep(5 * time.Second)
		synctest.Wait()

		type series struct {
			family string
			device exposition.Labels
		}
		sums := map[series]float64{}
		emit := func(m *catalog.Metric, _ string, v float64, labels exposition.Labels) {
			sums[series{m.Name, labels}] += v
		}
		for _, c := range set.Collectors() {
			if _, err := c.Collect(emit); err != nil {
				t.Errorf("%s: %v", c.Name(), err)
			}
		}
		_, _ = shares.Collect(emit)
		held := map[string]map[exposition.Labels]float64{}
		for _, name := range []string{"small", "tensor-parallel"} {
			held[name] = map[exposition.Labels]float64{}
			shares.CollectInstance(name, func(m *catalog.Metric, _ string, v float64, labels exposition.Labels) {
				if m.Name == catalog.InstanceGPUMemory.Name {
					held[name][labels] = v / (1 << 30)
				}
			}, "")
		}
		label := func(index string) exposition.Labels {
			return gpu.Labels(gpu.Identity{Index: index, Chip: "0", Name: "Mock NVIDIA A100-SXM4-40GB"})
		}
		want := map[string]map[exposition.Labels]float64{
			"small":           {label("0"): 10},
			"tensor-parallel": {label("0"): 20, label("1"): 31},
		}
		if diff := cmp.Diff(want, held); diff != "" {
			t.Errorf("GiB by instance and GPU (-want +got)\n%s", diff)
		}
		for _, index := range []string{"0", "1"} {
			device := label(index)
			allocated, rest, used := sums[series{catalog.GRAMAllocated.Name, device}], sums[series{catalog.GPUMemoryUnaccounted.Name, device}], sums[series{catalog.GRAMUsed.Name, device}]
			if used == 0 || allocated+rest != used {
				t.Errorf("GPU %s: %v allocated and %v unaccounted are not the %v used", index, allocated, rest, used)
			}
		}
	})
}
