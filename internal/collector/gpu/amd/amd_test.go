package amd

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs/sysfstest"
)

var update = flag.Bool("update", false, "write the golden files")

var backend sysfstest.New = func(root string) *sysfs.Backend { return New(Options{Root: root}) }

func TestGolden(t *testing.T) { backend.Goldens(t, 4, *update) }

func TestAbsent(t *testing.T) {
	for name, tree := range map[string]string{
		"no sys":       "",
		"no GPUs":      "[sys/class/drm]\nversion = drm 1.1.0 20060810",
		"display only": "[sys/class/drm/card0/device]\nvendor = 0x1a03\nuevent = DRIVER=ast\\nPCI_SLOT_NAME=0000:03:00.0",
		"other driver": "[sys/class/drm/card0/device]\nvendor = 0x1002\nuevent = DRIVER=radeon\\nPCI_ID=1002:6779\\nPCI_SLOT_NAME=0000:03:00.0",
		"no address":   "[sys/class/drm/card0/device]\nvendor = 0x1002\nuevent = DRIVER=amdgpu\\nPCI_SLOT_NAME=here",
		"function of a GPU that is here": "[sys/class/drm/card0/device]\nvendor = 0x1002\n" +
			"uevent = DRIVER=amdgpu\\nPCI_ID=1002:74B5\\nPCI_SLOT_NAME=0000:03:00.1\nphysfn -> ../../card1",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			sysfstest.Add(t, root, tree)
			if r, err := backend.Open(t, root).Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) || len(r.Devices) != 0 {
				t.Errorf("got %v, %v", r, err)
			}
		})
	}
}

func TestMissingRoot(t *testing.T) {
	if _, err := backend.Open(t, filepath.Join(t.TempDir(), "none")).Read(t.Context()); err == nil || errors.Is(err, gpu.ErrAbsent) {
		t.Errorf("got %v", err)
	}
}

const one = `[sys/class/drm/card0/device]
vendor = 0x1002
revision = 0xcc
uevent = DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0
gpu_busy_percent = 5
`

const two = `[sys/class/drm/card1/device]
vendor = 0x1002
uevent = DRIVER=amdgpu\nPCI_ID=1002:FFFF\nPCI_SLOT_NAME=0000:04:00.0
gpu_busy_percent = 6
`

func TestVanish(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, one+two)
	b := backend.Open(t, root)
	if d := sysfstest.Read(t, b); len(d) != 2 || d[0].Name != "AMD Radeon RX 7900 XT" || d[1].Name != "AMD ffff" {
		t.Fatalf("first: %+v", d)
	}
	if err := os.RemoveAll(filepath.Join(root, "sys/class/drm/card0/device")); err != nil {
		t.Fatal(err)
	}
	r, err := b.Read(t.Context())
	if err == nil || err.Error() != "GPU 0000:03:00.0 is gone from /sys" || len(r.Devices) != 1 || r.Devices[0].PCI != "0000:04:00.0" {
		t.Fatalf("vanished: %v, %v", r, err)
	}
	if d := sysfstest.Read(t, b); len(d) != 1 || d[0].PCI != "0000:04:00.0" {
		t.Fatalf("after: %v", d)
	}
	if err := os.RemoveAll(filepath.Join(root, "sys/class/drm/card1/device")); err != nil {
		t.Fatal(err)
	}
	b.Read(t.Context())
	if _, err := b.Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) {
		t.Errorf("all gone: %v", err)
	}
}

func TestDevicesAreLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		sysfstest.Add(t, root, one)
		b := backend.Open(t, root)
		sysfstest.Read(t, b)
		sysfstest.Add(t, root, two)
		if d := sysfstest.Read(t, b); len(d) != 1 {
			t.Errorf("at once: %d GPUs", len(d))
		}
		time.Sleep(sysfs.ScanEvery)
		if d := sysfstest.Read(t, b); len(d) != 2 {
			t.Errorf("later: %d GPUs", len(d))
		}
		sysfstest.Add(t, root, "[sys/class/drm/card1/device]\ngpu_busy_percent = 66")
		if d := sysfstest.Read(t, b); d[1].Utilization != gpu.Known(0.66) {
			t.Errorf("read again: %v", d[1].Utilization)
		}
	})
}

func TestLinksStayInside(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	sysfstest.Add(t, outside, one)
	sysfstest.Add(t, root, "[sys/class/drm]\ncard0 -> "+filepath.Join(outside, "sys/class/drm/card0"))
	if _, err := backend.Open(t, root).Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) {
		t.Errorf("a link led out of the root: %v", err)
	}
}

func TestUnusableValues(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, `[sys/class/drm/card0/device]
vendor = 0x1002
uevent = DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0
gpu_busy_percent = 101
mem_busy_percent = -1
mem_info_vram_total = 99999999999999999999999
mem_info_vram_used = 0x10
pcie_replay_count = 3.5
hwmon/hwmon0/name = amdgpu
hwmon/hwmon0/temp1_input = 999999999
hwmon/hwmon0/power1_average = -5
hwmon/hwmon0/fan1_input = 100
hwmon/hwmon0/fan1_max = 0
pp_dpm_sclk = garbage\n0: Mhz\n1: 99999999Mhz
`)
	large := make([]byte, 70_000)
	for i := range large {
		large[i] = '1'
	}
	if err := os.WriteFile(filepath.Join(root, "sys/class/drm/card0/device/unique_id"), large, 0o600); err != nil {
		t.Fatal(err)
	}
	want := []gpu.Device{{
		Identity: gpu.Identity{Vendor: "amd", Index: "0", Chip: "0", Name: "AMD 744c", PCI: "0000:03:00.0"},
		Clocks:   []gpu.Clock{},
	}}
	if diff := cmp.Diff(want, sysfstest.Read(t, backend.Open(t, root)), cmp.AllowUnexported(gpu.Value{})); diff != "" {
		t.Error(diff)
	}
}

func TestLost(t *testing.T) {
	root := t.TempDir()
	// Directories in the place of attributes are there and cannot be read, like those of a GPU that fell off the bus.
	sysfstest.Add(t, root, `[sys/class/drm/card0/device]
vendor = 0x1002
uevent = DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0
mem_info_vram_total = 1000
config : ffffffffffff
gpu_busy_percent/x = 1
hwmon/hwmon0/name = amdgpu
hwmon/hwmon0/power1_average/x = 1
`)
	if d := sysfstest.Read(t, backend.Open(t, root)); len(d) != 1 || !d[0].Lost || d[0].PCI == "" {
		t.Errorf("got %+v", d)
	}
	sysfstest.Add(t, root, "[sys/class/drm/card0/device]\nconfig : 0210")
	if d := sysfstest.Read(t, backend.Open(t, root)); len(d) != 1 || d[0].Lost {
		t.Errorf("a GPU that answers is lost: %+v", d)
	}
}

func TestProcessesNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := sysfstest.Unpack(t, "testdata/mi300x.tree")
		b := backend.Open(t, root)
		if d := sysfstest.Read(t, b); len(d[0].Processes) != 2 || len(d[1].Processes) != 1 || !d[0].ProcessesKnown {
			t.Fatalf("got %v, %v", d[0].Processes, d[1].Processes)
		}
		if err := os.RemoveAll(filepath.Join(root, kfdProc, "1557458")); err != nil {
			t.Fatal(err)
		}
		if d := sysfstest.Read(t, b); len(d[0].Processes) != 2 {
			t.Error("processes were looked at again at once")
		}
		time.Sleep(processesEvery)
		if d := sysfstest.Read(t, b); len(d[0].Processes) != 1 || len(d[1].Processes) != 0 || !d[1].ProcessesKnown {
			t.Errorf("got %v, %v", d[0].Processes, d[1].Processes)
		}
	})
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backend.Open(t, sysfstest.Unpack(t, "testdata/mi300x.tree")).Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFilesAreClosed(t *testing.T) { backend.FilesAreClosed(t, "testdata/mi300x.tree", 24) }

func BenchmarkRead(b *testing.B) { backend.BenchmarkEight(b, "testdata/mi300x.tree", "0000:0c:00.0") }

// TestSleepingGPUIsNotWoken reads nothing of a GPU that sleeps when it is found, and what was left out once it is awake.
func TestSleepingGPUIsNotWoken(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, one+"mem_info_vram_used = 7\npower/runtime_status = suspended\npp_dpm_sclk = 1: 1000Mhz")
	b := backend.Open(t, root)
	if d := sysfstest.Read(t, b); len(d) != 1 || d[0].Utilization != (gpu.Value{}) || d[0].MemoryUsed != gpu.Known(7) || d[0].Clocks != nil {
		t.Errorf("got %+v", d)
	}
	sysfstest.Add(t, root, "[sys/class/drm/card0/device]\npower/runtime_status = active\npp_dpm_sclk = 1: 2000Mhz")
	want := []gpu.Clock{{Part: "graphics", Max: gpu.Known(2e9)}}
	if d := sysfstest.Read(t, b); d[0].Utilization != gpu.Known(0.05) || !cmp.Equal(d[0].Clocks, want, cmp.AllowUnexported(gpu.Value{})) {
		t.Errorf("awake: %+v", d)
	}
}

const partition = `[sys/class/kfd/kfd/topology/nodes/%1]
gpu_id = 10%1
properties = simd_count 152\nsimd_per_cu 4\nlocation_id %2\ngfx_target_version 90402\nunique_id %3
`

// TestPartitions puts the partitions of a GPU together, wherever the kernel tells their number. A GPU at another function of
// the same device stays one.
func TestPartitions(t *testing.T) {
	for name, locations := range map[string][2]string{"Linux 6.6": {"768", "769"}, "Linux 6.8": {"768", "268436224"}} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			sysfstest.Add(t, root, one+strings.ReplaceAll(two, "04:00.0", "03:00.2"))
			for i, l := range append(locations[:], "770") {
				n := string(rune('1' + i))
				sysfstest.Add(t, root, strings.NewReplacer("%1", n, "%2", l, "%3", n).Replace(partition))
			}
			d := sysfstest.Read(t, backend.Open(t, root))
			if len(d) != 2 || d[0].Index != "0" || d[1].Index != "2" || d[0].Cores != gpu.Known(76) || d[1].Slices != nil {
				t.Fatalf("got %+v", d)
			}
			want := []gpu.Slice{
				{Name: "0", ComputeInstance: "0", UUID: "GPU-0000000000000001"},
				{Name: "1", ComputeInstance: "1", UUID: "GPU-0000000000000002"},
			}
			if diff := cmp.Diff(want, d[0].Slices, cmp.AllowUnexported(gpu.Value{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReplaysThatNobodyCounts tells no replays of a GPU whose driver always says 0.
func TestReplaysThatNobodyCounts(t *testing.T) {
	for _, c := range []struct {
		graphics, count string
		want            gpu.Value
	}{
		{"90402", "0", gpu.Known(0)},
		{"110000", "0", gpu.Value{}},
		{"120001", "3", gpu.Known(3)}, // a driver to come
	} {
		root := t.TempDir()
		node := strings.NewReplacer("%1", "1", "%2", "768", "%3", "1", "90402", c.graphics).Replace(partition)
		sysfstest.Add(t, root, one+"pcie_replay_count = "+c.count+"\n"+node)
		if d := sysfstest.Read(t, backend.Open(t, root)); d[0].PCIe.Replays != c.want {
			t.Errorf("%s, %s: %v", c.graphics, c.count, d[0].PCIe.Replays)
		}
	}
}
