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
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs/sysfstest"
	"github.com/stackscope/stackscope/internal/exposition"
)

var update = flag.Bool("update", false, "write the golden files")

func open(tb testing.TB, root string) *Backend {
	tb.Helper()
	b := New(Options{Root: root})
	tb.Cleanup(func() { b.Close() })
	return b
}

func read(t *testing.T, b *Backend) []gpu.Device {
	t.Helper()
	r, err := b.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r.Devices
}

func TestGolden(t *testing.T) {
	trees, err := filepath.Glob("testdata/*.tree")
	if err != nil || len(trees) < 4 {
		t.Fatalf("trees: %v, %v", trees, err)
	}
	for _, tree := range trees {
		t.Run(filepath.Base(tree), func(t *testing.T) {
			devices := read(t, open(t, sysfstest.Unpack(t, tree)))
			if len(devices) != 2 {
				t.Errorf("%d cards, want 2", len(devices))
			}
			var w exposition.Writer
			gpu.WriteReading(&w, gpu.Reading{Devices: devices})
			sysfstest.Golden(t, strings.TrimSuffix(tree, ".tree")+".golden", w.Bytes(), *update)
		})
	}
}

func TestAbsent(t *testing.T) {
	for name, tree := range map[string]string{
		"no sys":       "",
		"no cards":     "[sys/class/drm]\nversion = drm 1.1.0 20060810",
		"display only": "[sys/class/drm/card0/device]\nvendor = 0x1a03\nuevent = DRIVER=ast\\nPCI_SLOT_NAME=0000:03:00.0",
		"other driver": "[sys/class/drm/card0/device]\nvendor = 0x1002\nuevent = DRIVER=radeon\\nPCI_ID=1002:6779\\nPCI_SLOT_NAME=0000:03:00.0",
		"no address":   "[sys/class/drm/card0/device]\nvendor = 0x1002\nuevent = DRIVER=amdgpu\\nPCI_SLOT_NAME=here",
		"function of a card that is here": "[sys/class/drm/card0/device]\nvendor = 0x1002\n" +
			"uevent = DRIVER=amdgpu\\nPCI_ID=1002:74B5\\nPCI_SLOT_NAME=0000:03:00.1\nphysfn -> ../../card1",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			sysfstest.Add(t, root, tree)
			if r, err := open(t, root).Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) || len(r.Devices) != 0 {
				t.Errorf("got %v, %v", r, err)
			}
		})
	}
}

func TestMissingRoot(t *testing.T) {
	if _, err := open(t, filepath.Join(t.TempDir(), "none")).Read(t.Context()); err == nil || errors.Is(err, gpu.ErrAbsent) {
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
	b := open(t, root)
	if d := read(t, b); len(d) != 2 || d[0].Name != "AMD Radeon RX 7900 XT" || d[1].Name != "AMD ffff" {
		t.Fatalf("first: %+v", d)
	}
	if err := os.RemoveAll(filepath.Join(root, "sys/class/drm/card0/device")); err != nil {
		t.Fatal(err)
	}
	r, err := b.Read(t.Context())
	if err == nil || err.Error() != "card 0000:03:00.0 is gone from /sys" || len(r.Devices) != 1 || r.Devices[0].PCI != "0000:04:00.0" {
		t.Fatalf("vanished: %v, %v", r, err)
	}
	if d := read(t, b); len(d) != 1 || d[0].PCI != "0000:04:00.0" {
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

func TestCardsAreLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		sysfstest.Add(t, root, one)
		b := open(t, root)
		read(t, b)
		sysfstest.Add(t, root, two)
		if d := read(t, b); len(d) != 1 {
			t.Errorf("at once: %d cards", len(d))
		}
		time.Sleep(scanEvery)
		if d := read(t, b); len(d) != 2 {
			t.Errorf("later: %d cards", len(d))
		}
		sysfstest.Add(t, root, "[sys/class/drm/card1/device]\ngpu_busy_percent = 66")
		if d := read(t, b); d[1].Utilization != gpu.Known(0.66) {
			t.Errorf("read again: %v", d[1].Utilization)
		}
	})
}

func TestLinksStayInside(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	sysfstest.Add(t, outside, one)
	sysfstest.Add(t, root, "[sys/class/drm]\ncard0 -> "+filepath.Join(outside, "sys/class/drm/card0"))
	if _, err := open(t, root).Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) {
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
	if diff := cmp.Diff(want, read(t, open(t, root)), cmp.AllowUnexported(gpu.Value{})); diff != "" {
		t.Error(diff)
	}
}

func TestLost(t *testing.T) {
	root := t.TempDir()
	// Directories in the place of attributes are there and cannot be read, like those of a card that fell off the bus.
	sysfstest.Add(t, root, `[sys/class/drm/card0/device]
vendor = 0x1002
uevent = DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0
mem_info_vram_total = 1000
config : ffffffffffff
gpu_busy_percent/x = 1
hwmon/hwmon0/name = amdgpu
hwmon/hwmon0/power1_average/x = 1
`)
	if d := read(t, open(t, root)); len(d) != 1 || !d[0].Lost || d[0].PCI == "" {
		t.Errorf("got %+v", d)
	}
	sysfstest.Add(t, root, "[sys/class/drm/card0/device]\nconfig : 0210")
	if d := read(t, open(t, root)); len(d) != 1 || d[0].Lost {
		t.Errorf("a card that answers is lost: %+v", d)
	}
}

func TestSleepingCardIsLeftAlone(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, one+"mem_info_vram_used = 7\npower/runtime_status = suspended")
	if d := read(t, open(t, root)); len(d) != 1 || d[0].Utilization != (gpu.Value{}) || d[0].MemoryUsed != gpu.Known(7) {
		t.Errorf("got %+v", d)
	}
}

func TestProcessesNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := sysfstest.Unpack(t, "testdata/mi300x.tree")
		b := open(t, root)
		if d := read(t, b); len(d[0].Processes) != 2 || len(d[1].Processes) != 1 || !d[0].ProcessesKnown {
			t.Fatalf("got %v, %v", d[0].Processes, d[1].Processes)
		}
		if err := os.RemoveAll(filepath.Join(root, kfdProc, "1557458")); err != nil {
			t.Fatal(err)
		}
		if d := read(t, b); len(d[0].Processes) != 2 {
			t.Error("processes were looked at again at once")
		}
		time.Sleep(processesEvery)
		if d := read(t, b); len(d[0].Processes) != 1 || len(d[1].Processes) != 0 || !d[1].ProcessesKnown {
			t.Errorf("got %v, %v", d[0].Processes, d[1].Processes)
		}
	})
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, sysfstest.Unpack(t, "testdata/mi300x.tree")).Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFilesAreClosed(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("open files cannot be counted here")
	}
	synctest.Test(t, func(t *testing.T) {
		count := func() int {
			names, err := filepath.Glob("/proc/self/fd/*")
			if err != nil {
				t.Fatal(err)
			}
			return len(names)
		}
		before := count()
		b := New(Options{Root: sysfstest.Unpack(t, "testdata/radeon.tree")})
		read(t, b)
		first := count()
		for range 3 {
			time.Sleep(scanEvery)
			read(t, b)
		}
		if now := count(); now != first {
			t.Errorf("%d files are open, after the first reading it were %d", now, first)
		}
		if b.Close(); count() != before {
			t.Errorf("closed, and %d files are open, before it were %d", count(), before)
		}
		read(t, b) // opens all again
		b.Close()
	})
}

// BenchmarkRead reads eight MI300X, each second's work.
func BenchmarkRead(b *testing.B) {
	text, err := os.ReadFile("testdata/mi300x.tree")
	if err != nil {
		b.Fatal(err)
	}
	_, card, _ := strings.Cut(string(text), "[sys/class/drm/card1/device]")
	card, _, _ = strings.Cut(card, "# The second one")
	root := b.TempDir()
	for _, n := range "12345678" {
		sysfstest.Add(b, root, "[sys/class/drm/card"+string(n)+"/device]"+strings.ReplaceAll(card, "0000:0c:00.0", "0000:0"+string(n)+":00.0"))
	}
	backend := open(b, root)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := backend.Read(b.Context()); err != nil || len(r.Devices) != 8 {
			b.Fatal(len(r.Devices), err)
		}
	}
}
