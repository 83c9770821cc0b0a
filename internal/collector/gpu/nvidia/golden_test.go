//go:build linux && cgo

package nvidia

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/exposition"
)

var update = flag.Bool("update", false, "write the golden pages instead of comparing them")

// machines are simulated machines, by the name of their golden page.
var machines = map[string]func() *server.Server{
	"dgxa100":     a100,
	"dgxh100-gpm": h100,
	"dgxa100-mig": a100MIG,
}

// a100 is a machine with two GPUs that offer all that their generation does, and one that offers hardly anything.
func a100() *server.Server {
	s := dgxa100.New()
	devices := devicesOf(s, 3)
	furnish(devices[0], 0)
	furnish(devices[1], 1)
	devices[1].GetNumFansFunc = answer(2)
	devices[1].GetFanSpeed_v2Func = func(fan int) (uint32, nvml.Return) { return uint32(45 + 60*fan), nvml.SUCCESS }
	// Two processes on the first GPU, one of them on the second as well.
	processes(devices[0], user{pid: 4101, memory: 20 << 30, sm: 60}, user{pid: 4100, memory: 10 << 30, sm: 37})
	processes(devices[1], user{pid: 4101, memory: 31 << 30})
	return s
}

// h100 is a machine whose GPUs count their performance; the links of the second have no counters.
func h100() *server.Server {
	s := dgxh100.New()
	devices := devicesOf(s, 2)
	furnish(devices[0], 0)
	fields := furnish(devices[1], 1)
	delete(fields, field{id: nvml.FI_DEV_NVLINK_THROUGHPUT_DATA_RX})
	delete(fields, field{id: nvml.FI_DEV_NVLINK_THROUGHPUT_DATA_TX})
	performance(s, devices...)
	return s
}

// a100MIG is a machine with a divided GPU beside a whole one, both of which count their performance as later GPUs do.
func a100MIG() *server.Server {
	s := dgxa100.New()
	devices := devicesOf(s, 2)
	furnish(devices[0], 0)
	divide(devices[0], 0)
	furnish(devices[1], 1)
	performance(s, devices[0])
	return s
}

// page reads a machine twice, a second apart, as measured values need two samples.
func page(t *testing.T, lib nvml.Interface) string {
	t.Helper()
	var w exposition.Writer
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(lib, Options{})
		read(t, b)
		time.Sleep(time.Second)
		gpu.WriteReading(&w, gpu.Reading{Devices: read(t, b)})
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return string(w.Bytes())
}

func TestGolden(t *testing.T) {
	for name, machine := range machines {
		t.Run(name, func(t *testing.T) {
			got := page(t, machine())
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-%s +got (-update writes it):\n%s", file, diff)
			}
		})
	}
}

// TestFamilies holds that the simulated machines show every family that follows from a reading of these GPUs.
func TestFamilies(t *testing.T) {
	var pages strings.Builder
	for _, machine := range machines {
		pages.WriteString(page(t, machine()))
	}
	// Families that do not follow from one reading, and rates of links that other vendors have instead of counters.
	others := []string{
		catalog.GRAMAllocated.Name, catalog.GPUMemoryUnaccounted.Name, catalog.GPUErrorEvents.Name, catalog.GPUErrorLastTimestamp.Name,
		catalog.GPUExpected.Name, catalog.GPUPresent.Name, catalog.GPULost.Name, catalog.GPUDriverResponsive.Name,
	}
	typed := regexp.MustCompile(`(?m)^# TYPE (\S+) `)
	var got []string
	for _, m := range typed.FindAllStringSubmatch(pages.String(), -1) {
		got = append(got, m[1])
	}
	for _, m := range catalog.GPU {
		if !slices.Contains(got, m.WireName()) && !slices.Contains(others, m.Name) {
			t.Errorf("no simulated machine shows %s", m.WireName())
		}
	}
}
