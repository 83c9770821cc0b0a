package sysfs_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs/sysfstest"
)

func tree(t *testing.T, text string) (*sysfs.Dir, string) {
	t.Helper()
	root := t.TempDir()
	sysfstest.Add(t, root, text)
	d, err := sysfs.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, root
}

func TestLinks(t *testing.T) {
	d, _ := tree(t, `[devices/pci0/bridge/gpu/drm/card0]
device -> ../..
[devices/pci0/bridge/gpu]
vendor = 0x1002
[devices/pci0/bridge]
vendor = 0x1022
[class]
card0 -> ../devices/pci0/bridge/gpu/drm/card0
out -> ../../../../../../../../../etc
absolute -> /etc
loop -> loop
`)
	for name, want := range map[string]string{
		"class/card0/device/vendor":    "0x1002",
		"class/card0/device/../vendor": "0x1022",
		"class/out/hostname":           "",
		"class/absolute/hostname":      "",
		"class/loop/x":                 "",
		"../../../etc/hostname":        "",
	} {
		if got := d.Text(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, err := d.Sub("class/absolute"); err == nil {
		t.Error("a link led out of the root")
	}
}

func TestAttr(t *testing.T) {
	d, root := tree(t, "[d]\na = 5\nempty =\nlarge = "+strings.Repeat("7", 70_000)+"\ndir/x = 1")
	r := sysfs.NewReader()
	a := d.Attr("d/a")
	if v := r.Value(a, 1, 2); v != gpu.Known(2.5) {
		t.Errorf("got %v", v)
	}
	sysfstest.Add(t, root, "[d]\na = 8")
	if v := r.Value(a, 3, 1); v != gpu.Known(24) {
		t.Errorf("read again: %v", v)
	}
	a.Close()
	if _, err := a.Read(r.Buffer()); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	r.Failed, r.Succeeded = 0, 0
	missing := d.Attr("d/missing")
	for _, a := range []*sysfs.Attr{missing, nil} {
		if _, err := a.Read(r.Buffer()); !errors.Is(err, fs.ErrNotExist) || r.Bytes(a) != nil {
			t.Errorf("missing: %v", err)
		}
	}
	if r.Failed != 0 {
		t.Error("what isn't there failed")
	}
	sysfstest.Add(t, root, "[d]\nmissing = 1")
	if r.Bytes(missing) != nil {
		t.Error("it was looked for again")
	}
	for _, name := range []string{"d/empty", "d/large", "d/dir"} {
		if _, ok := r.Int(d.Attr(name)); ok {
			t.Errorf("%s was read", name)
		}
	}
	if r.Failed != 3 || r.Succeeded != 0 {
		t.Errorf("%d failed, %d succeeded", r.Failed, r.Succeeded)
	}
}

func TestText(t *testing.T) {
	d, _ := tree(t, `[d]
name = AMD  Instinct\nsecond line
none = N/A
unknown = Unknown
zero : 0041420a
long = `+strings.Repeat("x", 300)+`
bad : ff41fe
`)
	for name, want := range map[string]string{
		"d/name": "AMD  Instinct", "d/none": "", "d/unknown": "", "d/zero": "AB", "d/long": strings.Repeat("x", 128), "d/bad": "A", "d/x": "",
	} {
		if got := d.Text(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestDevices(t *testing.T) {
	d, _ := tree(t, `[sys/class/drm/card10/device]
vendor = 0x8086
uevent = DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:09:00.0
[sys/class/drm/card2/device]
vendor = 0x8086
revision = 0x2F
uevent = DRIVER=i915\nPCI_ID=8086:0BD5\nPCI_SLOT_NAME=10000:01:00.0
[sys/class/drm/card3/device]
vendor = 0x8086
uevent = DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:3A:1F.7
[sys/class/drm/card4/device]
vendor = 0x8086
uevent = DRIVER=vfio-pci\nPCI_SLOT_NAME=0000:3B:00.0
[sys/class/drm/card3-DP-1/device]
vendor = 0x8086
uevent = DRIVER=xe\nPCI_SLOT_NAME=0000:3C:00.0
[sys/class/drm/cards/device]
vendor = 0x8086
[sys/class/drm/card5]
status = nothing
`)
	var got []string
	for _, c := range sysfs.PCIDevices(d, "0x8086", "xe", "i915") {
		got = append(got, c.PCI+" "+c.DeviceID+" "+c.Revision)
	}
	want := []string{"0000:09:00.0 e20b ", "0000:3a:1f.7 e20b ", "10000:01:00.0 0bd5 2f"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHwmon(t *testing.T) {
	d, _ := tree(t, `[hwmon/hwmon3]
name = i915_gt0
[hwmon/hwmon4]
name = i915
temp2_label = vram
temp2_input = 5000
temp3_label = pkg
`)
	h := sysfs.Hwmon(d, "i915")
	if h == nil || sysfs.Hwmon(d, "xe") != nil {
		t.Fatal("the wrong sensors")
	}
	defer h.Close()
	r := sysfs.NewReader()
	if v := r.Temperature(sysfs.Sensor(h, "temp", "input", "pkg", "vram")); v != gpu.Known(5) {
		t.Errorf("got %v", v)
	}
	if sysfs.Sensor(h, "temp", "input", "pkg") != nil || sysfs.Sensor(nil, "temp", "input", "vram") != nil {
		t.Error("found a sensor without an input")
	}
	if sysfs.First(h, "no", "name") == nil || sysfs.First(h, "no") != nil {
		t.Error("first")
	}
}

func TestGeneration(t *testing.T) {
	for speed, want := range map[string]gpu.Value{
		"2.5 GT/s PCIe\n": gpu.Known(1), "8.0 GT/s PCIe": gpu.Known(3), "32.0 GT/s": gpu.Known(5), "Unknown": {}, "": {}, "7 GT/s": {},
	} {
		if got := sysfs.Generation([]byte(speed)); got != want {
			t.Errorf("%q: %v", speed, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("0000:3b:00.0", " 17\n")
	f.Add("10000:ff:1f.7", "-273150")
	f.Fuzz(func(t *testing.T, address, number string) {
		if l, ok := sysfs.Location(address); ok && l>>48 != 0 {
			t.Fatalf("%q is at %x", address, l)
		}
		if n, ok := sysfs.ParseInt([]byte(number)); ok && n < 0 != strings.HasPrefix(strings.TrimSpace(number), "-") && n != 0 {
			t.Fatalf("%q is %d", number, n)
		}
		if v, ok := sysfs.Percent(sysfs.ParseInt([]byte(number))).Get(); ok && (v < 0 || v > 1) {
			t.Fatalf("%q is %v", number, v)
		}
	})
}

func TestLink(t *testing.T) {
	d, _ := tree(t, `[port]
max_link_speed = 16.0 GT/s PCIe
max_link_width = 8
[port/card]
current_link_speed = 8.0 GT/s PCIe
current_link_width = 4
max_link_speed = 32.0 GT/s PCIe
max_link_width = 16
[bus/card]
max_link_speed = 32.0 GT/s PCIe
max_link_width = 255
[wide]
max_link_speed = 64.0 GT/s PCIe
[wide/card]
max_link_speed = 32.0 GT/s PCIe
`)
	for path, want := range map[string]gpu.PCIe{
		"port/card": {Generation: gpu.Known(3), GenerationMax: gpu.Known(4), Width: gpu.Known(4), WidthMax: gpu.Known(8)},
		"bus/card":  {GenerationMax: gpu.Known(5)},
		"wide/card": {GenerationMax: gpu.Known(5)},
		"none":      {},
	} {
		var got gpu.PCIe
		sysfs.NewReader().Link(sysfs.OpenLink(d, path), &got)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(gpu.Value{})); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}
