package intel

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
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

var values = cmp.AllowUnexported(gpu.Value{})

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
	if err != nil || len(trees) < 3 {
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

// TestLater compares what follows from two readings of a card: power and use are differences.
func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := sysfstest.Unpack(t, "testdata/arc_b580_xe.tree")
		b := open(t, root)
		read(t, b)
		later, err := os.ReadFile("testdata/arc_b580_xe.later")
		if err != nil {
			t.Fatal(err)
		}
		sysfstest.Add(t, root, string(later))
		time.Sleep(12 * time.Second)
		var w exposition.Writer
		gpu.WriteReading(&w, gpu.Reading{Devices: read(t, b)})
		sysfstest.Golden(t, "testdata/arc_b580_xe-later.golden", w.Bytes(), *update)
	})
}

func TestAbsent(t *testing.T) {
	for name, tree := range map[string]string{
		"no sys":     "",
		"a display":  "[sys/class/drm/card0/device]\nvendor = 0x102b\nuevent = DRIVER=mgag200\\nPCI_SLOT_NAME=0000:03:00.0",
		"integrated": "[sys/class/drm/card0/device]\nvendor = 0x8086\nuevent = DRIVER=i915\\nPCI_ID=8086:A780\\nPCI_SLOT_NAME=0000:00:02.0",
		"integrated, with sensors": "[sys/class/drm/card0/device]\nvendor = 0x8086\nuevent = DRIVER=xe\\nPCI_ID=8086:64A0\\nPCI_SLOT_NAME=0000:00:02.0\n" +
			"hwmon/hwmon0/name = xe\nhwmon/hwmon0/energy2_input = 5",
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

const oneCard = `[sys/class/drm/card0/device]
vendor = 0x8086
uevent = DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:03:00.0
hwmon/hwmon0/name = xe
hwmon/hwmon0/energy1_input = 5000000
`

func TestCardInPlaceOfTheIntegrated(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, strings.ReplaceAll(oneCard, "0000:03:00.0", "0000:00:02.0")+"vram_d3cold_threshold = 300")
	if d := read(t, open(t, root)); len(d) != 1 || d[0].Name != "Intel Arc B580" {
		t.Errorf("got %+v", d)
	}
}

func TestPowerFromEnergy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		sysfstest.Add(t, root, oneCard+"[proc]\nversion = Linux")
		b := open(t, root)
		step := func(after time.Duration, microjoules string, want gpu.Value) {
			t.Helper()
			time.Sleep(after)
			sysfstest.Add(t, root, "[sys/class/drm/card0/device/hwmon/hwmon0]\nenergy1_input = "+microjoules)
			if got := read(t, b)[0].PowerUsed; got != want {
				t.Errorf("after %s: %v, want %v", after, got, want)
			}
		}
		step(0, "5000000", gpu.Value{})
		step(time.Second, "105000000", gpu.Known(100))
		step(100*time.Millisecond, "105000000", gpu.Known(100)) // too soon to say
		step(time.Second, "325000000", gpu.Known(200))
		step(time.Second, "1", gpu.Value{}) // began anew
		step(time.Second, "50000001", gpu.Known(50))
		step(2*time.Minute, "90000000", gpu.Value{})
		step(time.Second, "999999999999999", gpu.Value{})
	})
}

func TestVanish(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, oneCard+strings.ReplaceAll(strings.ReplaceAll(oneCard, "card0", "card1"), "0000:03", "0000:04"))
	b := open(t, root)
	if d := read(t, b); len(d) != 2 {
		t.Fatalf("first: %+v", d)
	}
	if err := os.RemoveAll(filepath.Join(root, "sys/class/drm/card1/device")); err != nil {
		t.Fatal(err)
	}
	r, err := b.Read(t.Context())
	if err == nil || err.Error() != "card 0000:04:00.0 is gone from /sys" || len(r.Devices) != 1 {
		t.Fatalf("vanished: %v, %v", r, err)
	}
	if d := read(t, b); len(d) != 1 || d[0].PCI != "0000:03:00.0" {
		t.Errorf("after: %v", d)
	}
}

func TestBrokenFirmware(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, oneCard+"survivability_mode = Runtime")
	if d := read(t, open(t, root)); len(d) != 1 || !d[0].Lost || d[0].Action != gpu.ActionReplace || d[0].Energy != (gpu.Value{}) {
		t.Errorf("got %+v", d)
	}
}

const client1 = `[proc/77/fd]
4 -> /dev/dri/renderD128
[proc/77/fdinfo]
4 = drm-driver:\txe\ndrm-client-id:\t4\ndrm-pdev:\t0000:03:00.0\ndrm-resident-vram0:\t1024 KiB\ndrm-cycles-ccs:\t%1\ndrm-total-cycles-ccs:\t%2
`

func clientOf(pid int, id, busy, total string) string {
	text := strings.NewReplacer("77", strconv.Itoa(pid), "client-id:\\t4", "client-id:\\t"+id, "%1", busy, "%2", total)
	return text.Replace(client1)
}

// TestUse follows two processes, of which one ends.
func TestUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		sysfstest.Add(t, root, oneCard+clientOf(77, "4", "100", "1000")+clientOf(88, "5", "0", "1000")+"[proc/1/fd]\n0 -> /dev/null")
		b := open(t, root)
		d := read(t, b)[0]
		if d.Utilization != (gpu.Value{}) || d.MemoryUsed != gpu.Known(2<<20) || !d.ProcessesKnown || len(d.Processes) != 2 || d.Processes[0].Use != (gpu.Value{}) {
			t.Fatalf("first: %+v", d)
		}
		sysfstest.Add(t, root, clientOf(77, "4", "350", "2000")+clientOf(88, "5", "500", "2000"))
		time.Sleep(time.Second)
		if d := read(t, b)[0]; d.Utilization != (gpu.Value{}) {
			t.Error("processes were looked at again at once")
		}
		time.Sleep(clientsEvery)
		d = read(t, b)[0]
		want := []gpu.Process{
			{PID: 77, Memory: gpu.Known(1 << 20), Use: gpu.Known(0.25)},
			{PID: 88, Memory: gpu.Known(1 << 20), Use: gpu.Known(0.5)},
		}
		if diff := cmp.Diff(want, d.Processes, values); diff != "" || d.Utilization != gpu.Known(0.75) {
			t.Errorf("%v: %s", d.Utilization, diff)
		}
		if err := os.RemoveAll(filepath.Join(root, "proc/88")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(clientsEvery)
		if d := read(t, b)[0]; len(d.Processes) != 1 || d.MemoryUsed != gpu.Known(1<<20) {
			t.Errorf("one ended: %+v", d.Processes)
		}
		if err := os.RemoveAll(filepath.Join(root, "proc/77")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(clientsEvery)
		if d := read(t, b)[0]; d.MemoryUsed != gpu.Known(0) || d.Utilization != gpu.Known(0) || !d.ProcessesKnown {
			t.Errorf("nobody: %+v", d)
		}
	})
}

// TestLateComer finds a process that opens a card some time after its start, and looks ever more rarely at those that don't.
func TestLateComer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		sysfstest.Add(t, root, oneCard+"[proc/77/fd]\n0 -> /dev/null")
		b := open(t, root)
		for range 20 {
			read(t, b)
			time.Sleep(clientsEvery)
		}
		if p := b.clients.seen[77]; p == nil || p.pause != longestPause {
			t.Fatalf("paused %+v", p)
		}
		sysfstest.Add(t, root, clientOf(77, "4", "0", "1"))
		for range int(longestPause/clientsEvery) + 1 {
			time.Sleep(clientsEvery)
			read(t, b)
		}
		if d := read(t, b)[0]; len(d.Processes) != 1 {
			t.Errorf("got %+v", d.Processes)
		}
	})
}

func TestNotAllowedToLook(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("nothing is forbidden to root")
	}
	root := t.TempDir()
	sysfstest.Add(t, root, oneCard+clientOf(77, "4", "0", "1")+"[proc/1/fd]\n0 -> /dev/null")
	if err := os.Chmod(filepath.Join(root, "proc/1/fd"), 0); err != nil {
		t.Fatal(err)
	}
	if d := read(t, open(t, root))[0]; d.ProcessesKnown || d.MemoryUsed != (gpu.Value{}) || len(d.Processes) != 1 {
		t.Errorf("got %+v", d)
	}
}

// TestDenied is what follows from not being allowed to look, also where the test may.
func TestDenied(t *testing.T) {
	c := newClients()
	c.denied = true
	c.account([]found{{client{pci: "a", id: 1, memory: 5}, 7}}, time.Second)
	c.account([]found{{client{pci: "a", id: 1, memory: 5}, 7}}, time.Second)
	if u := c.of("a"); u.known || u.memory != (gpu.Value{}) || u.busy != (gpu.Value{}) || len(u.processes) != 1 {
		t.Errorf("got %+v", u)
	}
	if u := c.of("b"); u.known || u.memory != (gpu.Value{}) {
		t.Errorf("another card: %+v", u)
	}
}

func TestUntoldMemory(t *testing.T) {
	c := newClients()
	c.account([]found{{client{pci: "a", id: 1, memory: 5}, 7}, {client{pci: "a", id: 2, memory: -1}, 8}}, time.Second)
	if u := c.of("a"); !u.known || u.memory != (gpu.Value{}) || u.processes[0].Memory != gpu.Known(5) || u.processes[1].Memory != (gpu.Value{}) {
		t.Errorf("got %+v", u)
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
		b := New(Options{Root: sysfstest.Unpack(t, "testdata/arc_i915.tree")})
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

// BenchmarkRead reads eight B580 with the processes of a machine, each second's work.
func BenchmarkRead(b *testing.B) {
	text, err := os.ReadFile("testdata/arc_b580_xe.tree")
	if err != nil {
		b.Fatal(err)
	}
	_, one, _ := strings.Cut(string(text), "[sys/class/drm/card1/device]")
	one, _, _ = strings.Cut(one, "[sys/class/drm/card2/device]")
	root := b.TempDir()
	for _, n := range "12345678" {
		sysfstest.Add(b, root, "[sys/class/drm/card"+string(n)+"/device]"+strings.ReplaceAll(one, "0000:09:00.0", "0000:0"+string(n)+":00.0"))
	}
	backend := open(b, root)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := backend.Read(b.Context()); err != nil || len(r.Devices) != 8 {
			b.Fatal(len(r.Devices), err)
		}
	}
}

// BenchmarkProcesses looks at 2000 processes with 20 files each, none of which is a card: what a first look costs.
func BenchmarkProcesses(b *testing.B) {
	root := b.TempDir()
	sysfstest.Add(b, root, oneCard)
	for pid := range 2000 {
		dir := filepath.Join(root, "proc", strconv.Itoa(pid+1), "fd")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		for n := range 20 {
			if err := os.Symlink("/dev/null", filepath.Join(dir, strconv.Itoa(n))); err != nil {
				b.Fatal(err)
			}
		}
	}
	backend := open(b, root)
	backend.Read(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		backend.clients = newClients()
		backend.clients.refresh(b.Context(), backend.root, backend.reader, time.Now())
	}
}
