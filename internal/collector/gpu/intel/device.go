package intel

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

const maxFans = 8

// history is what is known of a GPU from reading to reading.
type history struct {
	energySource string // which counter was chosen, for good: another one would jump
	energy       float64
	at           time.Time
	power        gpu.Value
}

// device is an open GPU.
type device struct {
	sysfs.OpenDevice

	source  *source
	id      gpu.Identity
	history *history
	nodes   []string // its files in /dev/dri

	awake                          bool // it was, since it was opened
	energy                         *sysfs.Attr
	functions                      *sysfs.Attr // how many virtual functions are given away
	powerLimits                    []*sysfs.Attr
	temperature, memoryTemperature *sysfs.Attr
	memoryTotals                   []*sysfs.Attr
	fans                           []fan
	parts                          []part
	errors                         []errorCounter
	reportable                     []gpu.Throttle // reasons for throttling that the GPU can report
	survival                       bool
	errorsRead                     []gpu.ECC
	errorsAt                       time.Time
}

type fan struct {
	name       string
	speed, max *sysfs.Attr
}

// openDevice opens a GPU's attributes. It reads none that would wake the GPU.
func (s *source) openDevice(root *sysfs.Dir, f sysfs.PCIDevice) (*device, error) {
	opened, err := f.Open(root, f.Driver)
	if err != nil {
		return nil, err
	}
	c := &device{OpenDevice: opened, source: s, history: s.histories[f.PCI]}
	c.nodes = c.Device.Names("drm")
	c.survival = c.Device.Has("survivability_mode")
	c.functions = c.Attr("sriov_numvfs")
	c.openSensors()
	c.openMemory(root)
	c.openParts(root)
	for _, p := range c.parts {
		for _, reason := range p.reasons {
			c.reportable = append(c.reportable, reason.is)
		}
	}
	slices.Sort(c.reportable)
	c.reportable = slices.Compact(c.reportable)
	c.Link = sysfs.OpenLink(root, slot(root, f.Path))
	return c, nil
}

// wake chooses the counter of energy, once the GPU is awake.
func (c *device) wake() {
	if !c.awake && c.Hwmon != nil {
		c.energy = c.Keep(c.chooseEnergy(c.source.reader))
	}
	c.awake = true
}

func (c *device) openSensors() {
	if c.Hwmon == nil {
		return
	}
	c.temperature = c.Keep(sysfs.Sensor(c.Hwmon, "temp", "input", "pkg"))
	if c.temperature == nil && !c.Hwmon.Has("temp1_label") {
		c.temperature = c.Keep(sysfs.First(c.Hwmon, "temp1_input"))
	}
	c.memoryTemperature = c.Keep(sysfs.Sensor(c.Hwmon, "temp", "input", "vram"))
	// The board's before the chip's, the sustained before the burst limit. power1_crit is where the GPU protects itself.
	for _, name := range []string{"power1_max", "power1_cap", "power2_max", "power2_cap"} {
		if c.Hwmon.Has(name) {
			c.powerLimits = append(c.powerLimits, c.Keep(c.Hwmon.Attr(name)))
		}
	}
	for i := 1; i <= maxFans; i++ {
		speed, most := fmt.Sprintf("fan%d_input", i), fmt.Sprintf("fan%d_max", i)
		if c.Hwmon.Has(speed) && c.Hwmon.Has(most) {
			c.fans = append(c.fans, fan{fmt.Sprint(i - 1), c.Keep(c.Hwmon.Attr(speed)), c.Keep(c.Hwmon.Attr(most))})
		}
	}
}

// chooseEnergy chooses the counter of the board's energy or, if there is none that counts, the chip's.
func (c *device) chooseEnergy(r *sysfs.Reader) *sysfs.Attr {
	names := []string{"energy1_input", "energy2_input"}
	if c.history.energySource != "" {
		names = []string{c.history.energySource}
	}
	for _, name := range names {
		if !c.Hwmon.Has(name) {
			continue
		}
		a := c.Hwmon.Attr(name)
		if _, ok := r.Positive(a, 1, 1).Get(); ok {
			c.history.energySource = name
			return a
		}
		a.Close()
	}
	return nil
}

// openMemory opens what tells the size of a GPU's memory: of the GPU in Intel's own i915, of each tile in early versions of
// xe.
func (c *device) openMemory(root *sysfs.Dir) {
	if b, err := root.Read(c.Path+"/lmem_total_bytes", nil); err == nil && len(b) > 0 {
		if d, err := root.Sub(c.Path); err == nil {
			c.KeepDir(d)
			c.memoryTotals = append(c.memoryTotals, c.Keep(d.Attr("lmem_total_bytes")))
		}
		return
	}
	for _, tile := range numbered(c.Device.Names("."), "tile") {
		if name := tile + "/physical_vram_size_bytes"; c.Device.Has(name) {
			c.memoryTotals = append(c.memoryTotals, c.Keep(c.Device.Attr(name)))
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

// slot is the path of the device that sits in the slot. GPUs of the Arc, Flex and Arc Pro series carry a switch: upstream 4fa0,
// 4fa1 or e2ff, downstream 4fa4, e2f0, e2f1 ...
func slot(root *sysfs.Dir, path string) string {
	path += "/device"
	upstream := path + "/../.."
	id := root.Text(upstream + "/device")
	if root.Text(upstream+"/vendor") == vendorID && (strings.HasPrefix(id, "0x4fa") || strings.HasPrefix(id, "0xe2f")) {
		return upstream
	}
	return path
}

// Read reads the GPU. What can't be read is absent.
func (c *device) Read(now time.Time) gpu.Device {
	r, use := c.source.reader, c.use()
	d := gpu.Device{
		Identity: c.id, MemoryTotal: c.memoryTotal(r), MemoryUsed: use.memory, Utilization: use.busy,
		Processes: use.processes, ProcessesKnown: use.known,
	}
	if c.survival { // its firmware is broken: the driver keeps it alive only to have it written anew
		d.Lost, d.Action = true, gpu.ActionReplace
		return d
	}
	if c.Asleep(r) {
		return d
	}
	c.wake()
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
		d.ThrottleReasons = c.reportable
	}
	if r.Failed > 0 && r.Succeeded == 0 && c.OffBus(r) {
		d.Lost = true
		return d
	}
	if c.errorsAt.IsZero() || now.Sub(c.errorsAt) >= errorsEvery {
		c.errorsRead, c.errorsAt = c.readErrors(r), now
	}
	d.ECC = c.errorsRead
	// A GPU behind a switch that isn't known says x1 at 2.5 GT/s whatever the slot gives.
	if r.Link(c.Link, &d.PCIe); d.PCIe.GenerationMax == gpu.Known(1) && d.PCIe.WidthMax == gpu.Known(1) {
		d.PCIe = gpu.PCIe{}
	}
	return d
}

// use is what the machine's processes use of the GPU. What virtual machines do with its virtual functions nobody here knows.
func (c *device) use() usage {
	use := c.source.clients.of(c.PCI)
	if n, _ := c.source.reader.Int(c.functions); n > 0 {
		use.memory, use.busy = gpu.Value{}, gpu.Value{}
	}
	return use
}

func (c *device) memoryTotal(r *sysfs.Reader) gpu.Value {
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
