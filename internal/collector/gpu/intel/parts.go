package intel

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

const maxParts = 16

// part is a GT: the graphics or the media half of a tile.
type part struct {
	kind         string // graphics or video
	now, highest *sysfs.Attr
	status       *sysfs.Attr
	reasons      []reason
}

// reason is an attribute that says whether the GPU is throttled for this reason.
type reason struct {
	attr *sysfs.Attr
	is   gpu.Throttle
}

// reasonOf translates the drivers' reasons; both have the same and xe some more.
func reasonOf(name string) gpu.Throttle {
	switch name {
	case "pl1", "pl2", "psys_pl1", "psys_pl2", "psys_crit":
		return gpu.ThrottlePowerCap
	case "pl4", "vr_tdc", "iccmax", "fastvmode":
		return gpu.ThrottleCurrent
	case "thermal", "ratl", "soc_thermal", "soc_avg_thermal", "mem_thermal", "memory_thermal":
		return gpu.ThrottleThermal
	case "vr_thermalert", "vr_thermal":
		return gpu.ThrottleThermalHW
	case "prochot":
		return gpu.ThrottleHW
	}
	return gpu.ThrottleUnknownReason
}

func (c *device) openParts(root *sysfs.Dir) {
	if c.Driver == "xe" {
		for _, tile := range numbered(c.Device.Names("."), "tile") {
			for _, gt := range numbered(c.Device.Names(tile), "gt") {
				c.addXe(tile + "/" + gt)
			}
		}
		return
	}
	for _, gt := range numbered(root.Names(c.Path+"/gt"), "gt") {
		c.addI915(root, c.Path+"/gt/"+gt)
	}
}

// addXe opens a GT of xe. act_freq doesn't wake it, cur_freq would.
func (c *device) addXe(path string) {
	p := part{kind: "graphics", now: c.Keep(c.Device.Attr(path + "/freq0/act_freq"))}
	if strings.HasSuffix(c.Device.Text(path+"/gtidle/name"), "-mc") {
		p.kind = "video"
	}
	p.highest = c.Keep(sysfs.First(c.Device, path+"/freq0/rp0_freq", path+"/freq0/max_freq"))
	p.status = c.Keep(c.Device.Attr(path + "/freq0/throttle/status"))
	for _, name := range c.Device.Names(path + "/freq0/throttle") {
		if r, ok := strings.CutPrefix(name, "reason_"); ok && len(p.reasons) < 32 {
			p.reasons = append(p.reasons, reason{c.Keep(c.Device.Attr(path + "/freq0/throttle/" + name)), reasonOf(r)})
		}
	}
	c.add(p)
}

// addI915 opens a GT of i915, which stands below the GPU and not below its device.
func (c *device) addI915(root *sysfs.Dir, path string) {
	d, err := root.Sub(path)
	if err != nil {
		return
	}
	c.KeepDir(d)
	p := part{kind: "graphics", now: c.Keep(d.Attr("rps_act_freq_mhz")), status: c.Keep(d.Attr("throttle_reason_status"))}
	p.highest = c.Keep(sysfs.First(d, "rps_RP0_freq_mhz", "rps_max_freq_mhz"))
	for _, name := range d.Names(".") {
		r, ok := strings.CutPrefix(name, "throttle_reason_")
		if ok && r != "status" && len(p.reasons) < 32 {
			p.reasons = append(p.reasons, reason{c.Keep(d.Attr(name)), reasonOf(r)})
		}
	}
	c.add(p)
	c.openErrors(d)
}

func (c *device) add(p part) {
	if len(c.parts) < maxParts {
		c.parts = append(c.parts, p)
	}
}

// clocks are the clocks of the graphics and of the media halves, each the fastest tile's. A half that sleeps has a clock of 0.
func (c *device) clocks(r *sysfs.Reader) []gpu.Clock {
	var list []gpu.Clock
	for _, kind := range []string{"graphics", "video"} {
		clock := gpu.Clock{Part: kind}
		for _, p := range c.parts {
			if p.kind == kind {
				clock.Now = higher(clock.Now, r.Value(p.now, 1e6, 1))
				clock.Max = higher(clock.Max, r.Positive(p.highest, 1e6, 1))
			}
		}
		if clock != (gpu.Clock{Part: kind}) {
			list = append(list, clock)
		}
	}
	return list
}

func higher(a, b gpu.Value) gpu.Value {
	x, known := a.Get()
	if y, ok := b.Get(); ok && (!known || y > x) {
		return b
	}
	return a
}

// throttles returns the reasons for which a part is throttled now. It reads the status of a part first, which is mostly 0.
func (c *device) throttles(r *sysfs.Reader) (list []gpu.Throttle, known bool) {
	for _, p := range c.parts {
		status, ok := r.Int(p.status)
		if !ok {
			continue
		}
		known = true
		if status == 0 {
			continue
		}
		before := len(list)
		for _, reason := range p.reasons {
			if n, ok := r.Int(reason.attr); ok && n != 0 {
				list = append(list, reason.is)
			}
		}
		if len(list) == before {
			list = append(list, gpu.ThrottleUnknownReason)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), known
}

// errorCounter is a counter of errors of a part of a GPU. It is read too rarely to stay open.
type errorCounter struct {
	kind, location string
	dir            *sysfs.Dir
	file           string
}

const (
	maxErrors = 64
	// errorsEvery is the pause between two looks at error counters: the driver keeps the GPU awake for each.
	errorsEvery = 30 * time.Second
)

// openErrors opens the error counters that Intel's own i915 has for the Flex and Max series: error_counter/correctable_guc,
// fatal_eu_grf ...
func (c *device) openErrors(d *sysfs.Dir) {
	for _, name := range d.Names("error_counter") {
		for prefix, kind := range map[string]string{"correctable_": gpu.Corrected, "fatal_": gpu.Uncorrected} {
			if location, ok := strings.CutPrefix(name, prefix); ok && location != "" && len(c.errors) < maxErrors {
				c.errors = append(c.errors, errorCounter{kind, location, d, "error_counter/" + name})
			}
		}
	}
}

// readErrors sums the counters of all tiles. A sum without one of its parts would go down: it is left out.
func (c *device) readErrors(r *sysfs.Reader) []gpu.ECC {
	var list []gpu.ECC
	for _, e := range c.errors {
		text, err := e.dir.Read(e.file, r.Buffer())
		n, ok := sysfs.ParseInt(text)
		add := float64(n)
		if err != nil || !ok || n < 0 {
			add = math.NaN()
		}
		i := slices.IndexFunc(list, func(x gpu.ECC) bool { return x.Kind == e.kind && x.Location == e.location })
		if i < 0 {
			i = len(list)
			list = append(list, gpu.ECC{Kind: e.kind, Location: e.location})
		}
		list[i].Count += add
	}
	return slices.DeleteFunc(list, func(x gpu.ECC) bool { return math.IsNaN(x.Count) })
}
