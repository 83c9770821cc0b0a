package sysfs

import (
	"bytes"
)

// OpenDevice is a GPU with what is open of it.
type OpenDevice struct {
	PCIDevice

	Device *Dir // the PCI device
	Hwmon  *Dir // the GPU's own sensors; nil if it has none
	Link   Link

	status *Attr
	attrs  []*Attr
	dirs   []*Dir
}

// Open opens a GPU. hwmon is the name attribute of its sensors.
func (c PCIDevice) Open(root *Dir, hwmon string) (OpenDevice, error) {
	device, err := root.Sub(c.Path + "/device")
	if err != nil {
		return OpenDevice{}, err
	}
	o := OpenDevice{PCIDevice: c, Device: device, Hwmon: Hwmon(device, hwmon)}
	o.KeepDir(device)
	o.KeepDir(o.Hwmon)
	o.status = o.Attr("power/runtime_status")
	return o, nil
}

// Attr is an attribute of the GPU's PCI device, closed with the GPU.
func (o *OpenDevice) Attr(name string) *Attr { return o.Keep(o.Device.Attr(name)) }

// Keep has an attribute closed with the GPU.
func (o *OpenDevice) Keep(a *Attr) *Attr {
	if a != nil {
		o.attrs = append(o.attrs, a)
	}
	return a
}

// KeepDir has a directory closed with the GPU.
func (o *OpenDevice) KeepDir(d *Dir) {
	if d != nil {
		o.dirs = append(o.dirs, d)
	}
}

// Address is the GPU's PCI address.
func (o *OpenDevice) Address() string { return o.PCI }

// Gone reports whether the GPU left /sys.
func (o *OpenDevice) Gone() bool { return !o.Device.Has("vendor") }

// Asleep reports whether the GPU is suspended. Then most of what could be read of it would wake it.
func (o *OpenDevice) Asleep(r *Reader) bool {
	return bytes.HasPrefix(r.Bytes(o.status), []byte("suspend"))
}

// OffBus reports whether the GPU answers no more: all ones is what a machine reads where no device is.
func (o *OpenDevice) OffBus(r *Reader) bool {
	b, err := o.Device.Read("config", r.Buffer())
	return err == nil && len(b) >= 4 && bytes.Equal(b[:4], []byte{0xff, 0xff, 0xff, 0xff})
}

// Close closes all that is open of the GPU.
func (o *OpenDevice) Close() {
	for _, a := range o.attrs {
		a.Close()
	}
	o.Link.close()
	for _, d := range o.dirs {
		d.Close()
	}
	o.attrs, o.dirs = nil, nil
}
