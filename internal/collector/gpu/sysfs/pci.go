package sysfs

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

const (
	drm        = "sys/class/drm"
	maxDevices = 128
)

// PCIDevice is a GPU that a driver has bound.
type PCIDevice struct {
	Path     string // below the root: sys/class/drm/card0
	PCI      string // 0000:3b:00.0, in lower case
	Driver   string // amdgpu, i915, xe ...
	DeviceID string // four hexadecimal digits in lower case
	Revision string // two
	Location uint64 // orders GPUs by PCI address
}

var deviceName = regexp.MustCompile(`^card[0-9]{1,4}$`)

// PCIDevices lists the GPUs of a vendor (0x1002 ...) that one of the drivers has taken, by PCI address. Virtual functions whose
// physical function is there too are a part of that GPU and left out, and so is what has no PCI address of its own, like the
// partitions of a GPU.
func PCIDevices(root *Dir, vendor string, drivers ...string) []PCIDevice {
	var devices []PCIDevice
	for _, name := range root.Names(drm) {
		if !deviceName.MatchString(name) {
			continue
		}
		c, ok := readDevice(root, drm+"/"+name, vendor)
		if ok && slices.Contains(drivers, c.Driver) && len(devices) < maxDevices {
			devices = append(devices, c)
		}
	}
	slices.SortFunc(devices, func(a, b PCIDevice) int { return cmp.Compare(a.Location, b.Location) })
	return slices.CompactFunc(devices, func(a, b PCIDevice) bool { return a.PCI == b.PCI })
}

func readDevice(root *Dir, path, vendor string) (c PCIDevice, ok bool) {
	if root.Text(path+"/device/vendor") != vendor || root.Has(path+"/device/physfn") {
		return c, false
	}
	uevent, err := root.Read(path+"/device/uevent", nil)
	if err != nil {
		return c, false
	}
	c = PCIDevice{Path: path}
	c.parseUevent(uevent)
	if c.Location, ok = Location(c.PCI); !ok {
		return c, false
	}
	if rev, found := strings.CutPrefix(root.Text(path+"/device/revision"), "0x"); found && len(rev) == 2 {
		c.Revision = strings.ToLower(rev)
	}
	return c, true
}

func (c *PCIDevice) parseUevent(b []byte) {
	for line := range bytes.Lines(b) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		switch key {
		case "DRIVER":
			c.Driver = value
		case "PCI_SLOT_NAME":
			c.PCI = strings.ToLower(value)
		case "PCI_ID":
			if _, id, ok := strings.Cut(value, ":"); ok && len(id) <= 8 {
				c.DeviceID = strings.ToLower(id)
			}
		}
	}
}

// Location turns a PCI address into a number that orders addresses: domain<<16 | bus<<8 | device<<3 | function.
func Location(address string) (uint64, bool) {
	domain, rest, ok1 := strings.Cut(address, ":")
	bus, rest, ok2 := strings.Cut(rest, ":")
	device, function, ok3 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || !ok3 {
		return 0, false
	}
	var location uint64
	for _, p := range []struct {
		text string
		bits int
	}{{domain, 32}, {bus, 8}, {device, 5}, {function, 3}} {
		n, err := strconv.ParseUint(p.text, 16, p.bits)
		if err != nil {
			return 0, false
		}
		location = location<<p.bits | n
	}
	return location, true
}

// Link is the PCIe link of a device. The zero Link is one of which nothing is known.
type Link struct {
	device, port               *Dir
	speed, width               *Attr
	speedMax, widthMax         *Attr
	portSpeedMax, portWidthMax *Attr
}

// OpenLink opens the link of the device at path, from root on. The port that it hangs on, a bridge, bounds what the link can
// do; in some virtual machines there is none.
func OpenLink(root *Dir, path string) Link {
	var l Link
	device, err := root.Sub(path)
	if err != nil {
		return l
	}
	l.device = device
	l.speed, l.width = device.Attr("current_link_speed"), device.Attr("current_link_width")
	l.speedMax, l.widthMax = device.Attr("max_link_speed"), device.Attr("max_link_width")
	if port, err := root.Sub(path + "/.."); err == nil {
		l.port = port
		l.portSpeedMax, l.portWidthMax = port.Attr("max_link_speed"), port.Attr("max_link_width")
	}
	return l
}

// Link fills a GPU's PCIe link. The highest generation and width are those of the GPU in its slot.
func (r *Reader) Link(l Link, to *gpu.PCIe) {
	to.Generation, to.Width = Generation(r.Bytes(l.speed)), width(r.Int(l.width))
	to.GenerationMax = lower(Generation(r.Bytes(l.speedMax)), Generation(r.Bytes(l.portSpeedMax)))
	to.WidthMax = lower(width(r.Int(l.widthMax)), width(r.Int(l.portWidthMax)))
}

// lower is the lower one of a and b, and a if b is not known.
func lower(a, b gpu.Value) gpu.Value {
	x, known := a.Get()
	if y, ok := b.Get(); known && ok && y < x {
		return b
	}
	return a
}

func (l Link) close() {
	for _, a := range []*Attr{l.speed, l.width, l.speedMax, l.widthMax, l.portSpeedMax, l.portWidthMax} {
		a.Close()
	}
	l.device.Close()
	l.port.Close()
}

// Generation is the PCIe generation of a link's speed ("16.0 GT/s PCIe").
func Generation(speed []byte) gpu.Value {
	number, _, _ := bytes.Cut(bytes.TrimSpace(speed), []byte(" "))
	switch string(number) {
	case "2.5":
		return gpu.Known(1)
	case "5.0", "5":
		return gpu.Known(2)
	case "8.0", "8":
		return gpu.Known(3)
	case "16.0", "16":
		return gpu.Known(4)
	case "32.0", "32":
		return gpu.Known(5)
	case "64.0", "64":
		return gpu.Known(6)
	}
	return gpu.Value{}
}

// width rejects 0 and 255, by which the kernel says that a link is down or not known.
func width(n int64, ok bool) gpu.Value {
	if !ok || n < 1 || n > 32 {
		return gpu.Value{}
	}
	return gpu.Known(float64(n))
}
