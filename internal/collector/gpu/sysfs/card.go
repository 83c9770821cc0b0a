package sysfs

import (
	"bytes"
)

// OpenCard is a card with what is open of it.
type OpenCard struct {
	Card

	Device *Dir // the PCI device
	Hwmon  *Dir // the card's own sensors; nil if it has none
	Link   Link

	status *Attr
	attrs  []*Attr
	dirs   []*Dir
}

// Open opens a card. hwmon is the name attribute of its sensors.
func (c Card) Open(root *Dir, hwmon string) (OpenCard, error) {
	device, err := root.Sub(c.Path + "/device")
	if err != nil {
		return OpenCard{}, err
	}
	o := OpenCard{Card: c, Device: device, Hwmon: Hwmon(device, hwmon)}
	o.KeepDir(device)
	o.KeepDir(o.Hwmon)
	o.status = o.Attr("power/runtime_status")
	return o, nil
}

// Attr is an attribute of the card's PCI device, closed with the card.
func (o *OpenCard) Attr(name string) *Attr { return o.Keep(o.Device.Attr(name)) }

// Keep has an attribute closed with the card.
func (o *OpenCard) Keep(a *Attr) *Attr {
	if a != nil {
		o.attrs = append(o.attrs, a)
	}
	return a
}

// KeepDir has a directory closed with the card.
func (o *OpenCard) KeepDir(d *Dir) {
	if d != nil {
		o.dirs = append(o.dirs, d)
	}
}

// Address is the card's PCI address.
func (o *OpenCard) Address() string { return o.PCI }

// Gone reports whether the card left /sys.
func (o *OpenCard) Gone() bool { return !o.Device.Has("vendor") }

// Asleep reports whether the card is suspended. Then most of what could be read of it would wake it.
func (o *OpenCard) Asleep(r *Reader) bool {
	return bytes.HasPrefix(r.Bytes(o.status), []byte("suspend"))
}

// OffBus reports whether the card answers no more: all ones is what a machine reads where no device is.
func (o *OpenCard) OffBus(r *Reader) bool {
	b, err := o.Device.Read("config", r.Buffer())
	return err == nil && len(b) >= 4 && bytes.Equal(b[:4], []byte{0xff, 0xff, 0xff, 0xff})
}

// Close closes all that is open of the card.
func (o *OpenCard) Close() {
	for _, a := range o.attrs {
		a.Close()
	}
	o.Link.close()
	for _, d := range o.dirs {
		d.Close()
	}
	o.attrs, o.dirs = nil, nil
}
