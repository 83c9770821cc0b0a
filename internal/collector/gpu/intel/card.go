package intel

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

const maxFans = 8

// history is what is known of a card from reading to reading.
type history struct {
	energySource string // which counter was chosen, for good: another one would jump
	energy       float64
	at           time.Time
	power        gpu.Value
}

// card is an open card.
type card struct {
	sysfs.Card

	id      gpu.Identity
	history *history
	device  *sysfs.Dir
	hwmon   *sysfs.Dir
	slot    *sysfs.Dir

	suspended, energy              *sysfs.Attr
	powerLimits                    []*sysfs.Attr
	temperature, memoryTemperature *sysfs.Attr
	memoryTotals                   []*sysfs.Attr
	fans                           []fan
	parts                          []part
	errors                         []errorCounter
	link                           sysfs.LinkAttrs
	attrs                          []*sysfs.Attr
	tellable                       []gpu.Throttle // reasons for which the card could say that it is held back
	survival                       bool
	errorsRead                     []gpu.ECC
	errorsAt                       time.Time
	dirs                           []*sysfs.Dir // of the parts
}

type fan struct {
	name       string
	speed, max *sysfs.Attr
}

// openCard opens a card's attributes.
func openCard(root *sysfs.Dir, r *sysfs.Reader, f sysfs.Card, h *history) (*card, error) {
	device, err := root.Sub(f.Path + "/device")
	if err != nil {
		return nil, err
	}
	c := &card{Card: f, history: h, device: device, hwmon: sysfs.Hwmon(device, f.Driver)}
	c.suspended = c.keep(device.Attr("power/runtime_status"))
	c.survival = device.Has("survivability_mode")
	c.openSensors(r)
	c.openMemory(root)
	c.openParts(root)
	for _, p := range c.parts {
		for _, reason := range p.reasons {
			c.tellable = append(c.tellable, reason.is)
		}
	}
	slices.Sort(c.tellable)
	c.tellable = slices.Compact(c.tellable)
	c.slot = slotLink(root, f.Path)
	if c.slot != nil {
		c.link = sysfs.Link(c.slot)
	}
	return c, nil
}

func (c *card) keep(a *sysfs.Attr) *sysfs.Attr {
	if a != nil {
		c.attrs = append(c.attrs, a)
	}
	return a
}

func (c *card) openSensors(r *sysfs.Reader) {
	if c.hwmon == nil {
		return
	}
	c.temperature = c.keep(sysfs.Sensor(c.hwmon, "temp", "input", "pkg"))
	if c.temperature == nil && !c.hwmon.Has("temp1_label") {
		c.temperature = c.keep(sysfs.First(c.hwmon, "temp1_input"))
	}
	c.memoryTemperature = c.keep(sysfs.Sensor(c.hwmon, "temp", "input", "vram"))
	// The board's before the chip's, the sustained before the burst limit. power1_crit is where the card protects itself.
	for _, name := range []string{"power1_max", "power1_cap", "power2_max", "power2_cap"} {
		if c.hwmon.Has(name) {
			c.powerLimits = append(c.powerLimits, c.keep(c.hwmon.Attr(name)))
		}
	}
	c.energy = c.keep(c.chooseEnergy(r))
	for i := 1; i <= maxFans; i++ {
		speed, most := fmt.Sprintf("fan%d_input", i), fmt.Sprintf("fan%d_max", i)
		if c.hwmon.Has(speed) && c.hwmon.Has(most) {
			c.fans = append(c.fans, fan{fmt.Sprint(i - 1), c.keep(c.hwmon.Attr(speed)), c.keep(c.hwmon.Attr(most))})
		}
	}
}

// chooseEnergy chooses the counter of the board's energy or, if there is none that counts, the chip's.
func (c *card) chooseEnergy(r *sysfs.Reader) *sysfs.Attr {
	names := []string{"energy1_input", "energy2_input"}
	if c.history.energySource != "" {
		names = []string{c.history.energySource}
	}
	for _, name := range names {
		if !c.hwmon.Has(name) {
			continue
		}
		a := c.hwmon.Attr(name)
		if _, ok := r.Positive(a, 1, 1).Get(); ok {
			c.history.energySource = name
			return a
		}
		a.Close()
	}
	return nil
}

// openMemory opens what tells the size of a card's memory: of the card in Intel's own i915, of each tile in early versions of
// xe.
func (c *card) openMemory(root *sysfs.Dir) {
	if b, err := root.Read(c.Path+"/lmem_total_bytes", nil); err == nil && len(b) > 0 {
		if d, err := root.Sub(c.Path); err == nil {
			c.dirs = append(c.dirs, d)
			c.memoryTotals = append(c.memoryTotals, c.keep(d.Attr("lmem_total_bytes")))
		}
		return
	}
	for _, tile := range numbered(c.device.Names("."), "tile") {
		if name := tile + "/physical_vram_size_bytes"; c.device.Has(name) {
			c.memoryTotals = append(c.memoryTotals, c.keep(c.device.Attr(name)))
		}
	}
}

// numbered picks the names that are a prefix and a number.
func numbered(names []string, prefix string) []string {
	const most = 16
	var list []string
	for _, name := range names {
		number, ok := strings.CutPrefix(name, prefix)
		if ok && number != "" && strings.Trim(number, "0123456789") == "" && len(list) < most {
			list = append(list, name)
		}
	}
	return list
}

func (c *card) close() {
	for _, a := range c.attrs {
		a.Close()
	}
	c.link.Close()
	for _, d := range append(c.dirs, c.hwmon, c.slot, c.device) {
		d.Close()
	}
}

// slotLink opens the device that sits in the slot. Cards of the Arc, Flex and Arc Pro series carry a switch (upstream 4fa0,
// 4fa1 or e2ff, downstream 4fa4, e2f0, e2f1 ...) behind which the card itself says x1 at 2.5 GT/s whatever the slot gives.
// Root ports are Intel's as well, so the switch is known by what the card says, and by standing two bridges up. It is nil if
// the card's link can't be known.
func slotLink(root *sysfs.Dir, path string) *sysfs.Dir {
	path += "/device"
	if root.Text(path+"/max_link_width") == "1" && strings.HasPrefix(root.Text(path+"/max_link_speed"), "2.5 ") {
		path += "/../.."
		id := root.Text(path + "/device")
		if root.Text(path+"/vendor") != vendorID || (!strings.HasPrefix(id, "0x4fa") && !strings.HasPrefix(id, "0xe2f")) {
			return nil
		}
	}
	d, err := root.Sub(path)
	if err != nil {
		return nil
	}
	return d
}

// read reads a card. What can't be read is absent.
func (c *card) read(r *sysfs.Reader, use usage, now time.Time) gpu.Device {
	d := gpu.Device{
		Identity: c.id, MemoryTotal: c.memoryTotal(r), MemoryUsed: use.memory, Utilization: use.busy,
		Processes: use.processes, ProcessesKnown: use.known,
	}
	if c.survival { // its firmware is broken: the driver keeps it alive only to have it written anew
		d.Lost, d.Action = true, gpu.ActionReplace
		return d
	}
	if bytes.HasPrefix(r.Bytes(c.suspended), []byte("suspend")) {
		return d // reading on would wake it
	}
	r.Failed, r.Succeeded = 0, 0
	d.Temperature, d.MemoryTemperature = r.Temperature(c.temperature), r.Temperature(c.memoryTemperature)
	for _, limit := range c.powerLimits { // 0: switched off
		if _, ok := d.PowerLimit.Get(); !ok {
			d.PowerLimit = r.Positive(limit, 1, 1e6)
		}
	}
	d.Energy = r.Positive(c.energy, 1, 1e6)
	d.PowerUsed = c.history.draw(d.Energy, now)
	for _, f := range c.fans {
		if most, ok := r.Positive(f.max, 1, 1).Get(); ok {
			if speed, ok := r.Value(f.speed, 1, 1).Get(); ok {
				d.Fans = append(d.Fans, gpu.Fan{Name: f.name, Speed: gpu.Known(min(1, speed/most))})
			}
		}
	}
	d.Clocks = c.clocks(r)
	if d.Throttles, d.ThrottleKnown = c.throttles(r); d.ThrottleKnown {
		d.ThrottleReasons = c.tellable
	}
	if c.errorsAt.IsZero() || now.Sub(c.errorsAt) >= errorsEvery {
		c.errorsRead, c.errorsAt = c.readErrors(r), now
	}
	d.ECC = c.errorsRead
	if r.Failed > 0 && r.Succeeded == 0 && c.offBus(r) {
		d.Lost = true
		return d
	}
	if c.slot != nil {
		r.Link(c.link, &d.PCIe)
	}
	return d
}

// offBus reports whether the card answers no more: all ones is what a machine reads where no device is.
func (c *card) offBus(r *sysfs.Reader) bool {
	b, err := c.device.Read("config", r.Buffer())
	return err == nil && len(b) >= 4 && bytes.Equal(b[:4], []byte{0xff, 0xff, 0xff, 0xff})
}

func (c *card) memoryTotal(r *sysfs.Reader) gpu.Value {
	var sum float64
	for _, a := range c.memoryTotals {
		n, ok := r.Positive(a, 1, 1).Get()
		if !ok {
			return gpu.Value{}
		}
		sum += n
	}
	if sum == 0 {
		return gpu.Value{}
	}
	return gpu.Known(sum)
}

const (
	// shortest and longest time over which power is taken from energy: counters advance in steps, and an average over a long
	// time is none of now.
	shortestGap = 500 * time.Millisecond
	longestGap  = time.Minute
	maxWatts    = 10_000
)

// draw is the power drawn since the reading before.
func (h *history) draw(energy gpu.Value, now time.Time) gpu.Value {
	e, ok := energy.Get()
	if !ok {
		h.at, h.power = time.Time{}, gpu.Value{}
		return gpu.Value{}
	}
	gap := now.Sub(h.at)
	if !h.at.IsZero() && gap < shortestGap {
		return h.power
	}
	last := h.energy
	first := h.at.IsZero() || gap > longestGap
	h.energy, h.at, h.power = e, now, gpu.Value{}
	if watts := (e - last) / gap.Seconds(); !first && watts >= 0 && watts <= maxWatts {
		h.power = gpu.Known(math.Round(watts*1e3) / 1e3)
	}
	return h.power
}
