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
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs/sysfstest"
)

var update = flag.Bool("update", false, "write the golden files")

var values = cmp.AllowUnexported(gpu.Value{})

var backend sysfstest.New = func(root string) *sysfs.Backend { return New(Options{Root: root}) }

func TestGolden(t *testing.T) { backend.Goldens(t, 3, *update) }

// TestLater compares what follows from two readings of a GPU: power and use are differences.
func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := sysfstest.Unpack(t, "testdata/arc_b580_xe.tree")
		b := backend.Open(t, root)
		sysfstest.Read(t, b)
		later, err := os.ReadFile("testdata/arc_b580_xe.later")
		if err != nil {
			t.Fatal(err)
		}
		sysfstest.Add(t, root, string(later))
		time.Sleep(12 * time.Second)
		sysfstest.Golden(t, "testdata/arc_b580_xe-later.golden", sysfstest.Page(sysfstest.Read(t, b)), *update)
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
			if r, err := backend.Open(t, root).Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) || len(r.Devices) != 0 {
				t.Errorf("got %v, %v", r, err)
			}
		})
	}
}

const oneGPU = `[proc/2]
comm = kthreadd
[sys/class/drm/card0/device]
vendor = 0x8086
uevent = DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:03:00.0
hwmon/hwmon0/name = xe
hwmon/hwmon0/energy1_input = 5000000
`

func TestGPUInPlaceOfTheIntegrated(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, strings.ReplaceAll(oneGPU, "0000:03:00.0", "0000:00:02.0")+"vram_d3cold_threshold = 300")
	if d := sysfstest.Read(t, backend.Open(t, root)); len(d) != 1 || d[0].Name != "Intel Arc B580" {
		t.Errorf("got %+v", d)
	}
}

func TestPowerFromEnergy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		sysfstest.Add(t, root, oneGPU+"[proc]\nversion = Linux")
		b := backend.Open(t, root)
		step := func(after time.Duration, microjoules string, want gpu.Value) {
			t.Helper()
			time.Sleep(after)
			sysfstest.Add(t, root, "[sys/class/drm/card0/device/hwmon/hwmon0]\nenergy1_input = "+microjoules)
			if got := sysfstest.Read(t, b)[0].PowerUsed; got != want {
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
	sysfstest.Add(t, root, oneGPU+strings.ReplaceAll(strings.ReplaceAll(oneGPU, "card0", "card1"), "0000:03", "0000:04"))
	b := backend.Open(t, root)
	if d := sysfstest.Read(t, b); len(d) != 2 {
		t.Fatalf("first: %+v", d)
	}
	if err := os.RemoveAll(filepath.Join(root, "sys/class/drm/card1/device")); err != nil {
		t.Fatal(err)
	}
	r, err := b.Read(t.Context())
	if err == nil || err.Error() != "GPU 0000:04:00.0 is gone from /sys" || len(r.Devices) != 1 {
		t.Fatalf("vanished: %v, %v", r, err)
	}
	if d := sysfstest.Read(t, b); len(d) != 1 || d[0].PCI != "0000:03:00.0" {
		t.Errorf("after: %v", d)
	}
}

func TestBrokenFirmware(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, oneGPU+"survivability_mode = Runtime")
	if d := sysfstest.Read(t, backend.Open(t, root)); len(d) != 1 || !d[0].Lost || d[0].Action != gpu.ActionReplace || d[0].Energy != (gpu.Value{}) {
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
		sysfstest.Add(t, root, oneGPU+clientOf(77, "4", "100", "1000")+clientOf(88, "5", "0", "1000")+"[proc/1/fd]\n0 -> /dev/null")
		b := backend.Open(t, root)
		d := sysfstest.Read(t, b)[0]
		if d.Utilization != (gpu.Value{}) || d.MemoryUsed != gpu.Known(2<<20) || !d.ProcessesKnown || len(d.Processes) != 2 || d.Processes[0].Use != (gpu.Value{}) {
			t.Fatalf("first: %+v", d)
		}
		sysfstest.Add(t, root, clientOf(77, "4", "350", "2000")+clientOf(88, "5", "500", "2000"))
		time.Sleep(time.Second)
		if d := sysfstest.Read(t, b)[0]; d.Utilization != (gpu.Value{}) {
			t.Error("processes were looked at again at once")
		}
		time.Sleep(clientsEvery)
		d = sysfstest.Read(t, b)[0]
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
		if d := sysfstest.Read(t, b)[0]; len(d.Processes) != 1 || d.MemoryUsed != gpu.Known(1<<20) {
			t.Errorf("one ended: %+v", d.Processes)
		}
		if err := os.RemoveAll(filepath.Join(root, "proc/77")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(clientsEvery)
		if d := sysfstest.Read(t, b)[0]; d.MemoryUsed != gpu.Known(0) || d.Utilization != gpu.Known(0) || !d.ProcessesKnown {
			t.Errorf("nobody: %+v", d)
		}
	})
}

// TestLateComer finds a process that opens a GPU some time after its start, and looks ever more rarely at those that don't.
func TestLateComer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		sysfstest.Add(t, root, oneGPU+"[proc/77/fd]\n0 -> /dev/null")
		c := newClients()
		look := looker(t, root, c)
		for range 20 {
			look()
		}
		if p := c.seen[77]; p == nil || p.pause != longestPause {
			t.Fatalf("paused %+v", p)
		}
		sysfstest.Add(t, root, clientOf(77, "4", "0", "1"))
		for range int(longestPause/clientsEvery) + 1 {
			look()
		}
		if u := c.of("0000:03:00.0"); len(u.processes) != 1 {
			t.Errorf("got %+v", u)
		}
	})
}

// looker returns what looks at processes when it is time again.
func looker(t *testing.T, root string, c *clients) func() {
	t.Helper()
	dir, err := sysfs.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.Close)
	r := sysfs.NewReader()
	return func() {
		time.Sleep(clientsEvery)
		c.refresh(t.Context(), dir, r, nil, time.Now())
	}
}

// TestManyProcesses gets to each process of a machine that has more than one look takes.
func TestManyProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		for pid := 3; pid <= 2*maxProbes+maxProbes/2; pid++ {
			if err := os.MkdirAll(filepath.Join(root, "proc", strconv.Itoa(pid), "fd"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		sysfstest.Add(t, root, oneGPU+clientOf(9999, "4", "0", "1"))
		c := newClients()
		look := looker(t, root, c)
		for _, known := range []bool{false, false, true} {
			look()
			if u := c.of("0000:03:00.0"); u.known != known || known != (u.memory == gpu.Known(1<<20)) {
				t.Fatalf("got %+v, want it known: %v", u, known)
			}
		}
	})
}

// TestNoGPUCostsNothing looks at no process on a machine without a discrete GPU.
func TestNoGPUCostsNothing(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, strings.ReplaceAll(oneGPU, "0000:03:00.0", "0000:00:02.0")+clientOf(77, "4", "0", "1"))
	s := newSource(nil)
	b := sysfs.NewBackend(vendor, root, s)
	defer b.Close()
	if _, err := b.Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) || len(s.clients.seen) != 0 || s.clients.devices != nil {
		t.Errorf("%v, and saw %v", err, s.clients.seen)
	}
}

// TestProcessesThatCannotBeSeen makes no sums on a machine that hides processes, and of a GPU with parts given away.
func TestProcessesThatCannotBeSeen(t *testing.T) {
	for name, add := range map[string]string{
		"container":         "[proc/2]\ncomm = bash",
		"virtual functions": "[sys/class/drm/card0/device]\nsriov_numvfs = 3",
	} {
		for _, client := range []string{"", clientOf(77, "4", "0", "1")} {
			root := t.TempDir()
			sysfstest.Add(t, root, oneGPU+client+add)
			d := sysfstest.Read(t, backend.Open(t, root))[0]
			if d.MemoryUsed != (gpu.Value{}) || d.Utilization != (gpu.Value{}) || (len(d.Processes) == 1) != (client != "") {
				t.Errorf("%s: got %+v", name, d)
			}
			if d.ProcessesKnown != (name == "virtual functions") {
				t.Errorf("%s: processes known: %v", name, d.ProcessesKnown)
			}
		}
	}
}

// TestSleepingGPUIsNotWoken reads nothing of a GPU that sleeps, neither of its own files nor of its clients', and what was
// left out once it is awake.
func TestSleepingGPUIsNotWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		const device = "[sys/class/drm/card0/device]\n"
		sysfstest.Add(t, root, oneGPU+"power/runtime_status = suspended\ndrm/renderD128/dev = 226:128\nhwmon/hwmon0/energy1_input = 0\n"+
			"hwmon/hwmon0/energy2_input = 7\n"+clientOf(77, "4", "0", "1")+"5 = drm-driver:\\txe\n[proc/77/fd]\n5 -> /dev/dri/renderD128")
		b := backend.Open(t, root)
		d := sysfstest.Read(t, b)[0]
		if d.MemoryUsed != (gpu.Value{}) || d.Energy != (gpu.Value{}) || !cmp.Equal(d.Processes, []gpu.Process{{PID: 77}}, values) || !d.ProcessesKnown {
			t.Errorf("asleep: %+v", d)
		}
		sysfstest.Add(t, root, device+"power/runtime_status = active\nhwmon/hwmon0/energy1_input = 9000000")
		time.Sleep(clientsEvery)
		if d := sysfstest.Read(t, b)[0]; d.MemoryUsed != gpu.Known(1<<20) || d.Energy != gpu.Known(9) {
			t.Errorf("awake: %+v", d)
		}
	})
}

// TestErrorsDoNotGoDown leaves out a sum of which a part can't be read.
func TestErrorsDoNotGoDown(t *testing.T) {
	root := t.TempDir()
	sysfstest.Add(t, root, "[gt0]\na = 5\nb = 1\n[gt1]\na =\nb = 2")
	dir, err := sysfs.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	c := &device{errors: []errorCounter{
		{gpu.Corrected, "a", dir, "gt0/a"}, {gpu.Corrected, "b", dir, "gt0/b"}, {gpu.Corrected, "a", dir, "gt1/a"}, {gpu.Corrected, "b", dir, "gt1/b"},
	}}
	want := []gpu.ECC{{Kind: gpu.Corrected, Location: "b", Count: 3}}
	if diff := cmp.Diff(want, c.readErrors(sysfs.NewReader())); diff != "" {
		t.Error(diff)
	}
}

func TestNotAllowedToLook(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("nothing is forbidden to root")
	}
	root := t.TempDir()
	sysfstest.Add(t, root, oneGPU+clientOf(77, "4", "0", "1")+"[proc/1/fd]\n0 -> /dev/null")
	closed := filepath.Join(root, "proc/1/fd")
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700) }) // else it cannot be removed
	if d := sysfstest.Read(t, backend.Open(t, root))[0]; d.ProcessesKnown || d.MemoryUsed != (gpu.Value{}) || len(d.Processes) != 1 {
		t.Errorf("got %+v", d)
	}
}

// TestDenied is what follows from not being allowed to look, also where the test may.
func TestDenied(t *testing.T) {
	c := newClients()
	c.partial = true
	c.account([]found{{client{pci: "a", id: 1, memory: 5}, 7}}, time.Second)
	c.account([]found{{client{pci: "a", id: 1, memory: 5}, 7}}, time.Second)
	if u := c.of("a"); u.known || u.memory != (gpu.Value{}) || u.busy != (gpu.Value{}) || len(u.processes) != 1 {
		t.Errorf("got %+v", u)
	}
	if u := c.of("b"); u.known || u.memory != (gpu.Value{}) {
		t.Errorf("another GPU: %+v", u)
	}
}

func TestUntoldMemory(t *testing.T) {
	c := newClients()
	c.account([]found{{client{pci: "a", id: 1, memory: 5}, 7}, {client{pci: "a", id: 2, memory: -1}, 8}}, time.Second)
	if u := c.of("a"); !u.known || u.memory != (gpu.Value{}) || u.processes[0].Memory != gpu.Known(5) || u.processes[1].Memory != (gpu.Value{}) {
		t.Errorf("got %+v", u)
	}
}

func TestFilesAreClosed(t *testing.T) { backend.FilesAreClosed(t, "testdata/arc_i915.tree", 24) }

func BenchmarkRead(b *testing.B) {
	backend.BenchmarkEight(b, "testdata/arc_b580_xe.tree", "0000:09:00.0")
}

// BenchmarkProcesses looks at 2000 processes with 20 files each, none of which is a GPU: what a first look costs.
func BenchmarkProcesses(b *testing.B) {
	root := b.TempDir()
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
	dir, err := sysfs.Open(root)
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	r := sysfs.NewReader()
	b.ReportAllocs()
	for b.Loop() {
		newClients().refresh(b.Context(), dir, r, nil, time.Now())
	}
}
