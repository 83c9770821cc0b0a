package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Labels renders the labels that every sample of a GPU carries.
func Labels(id Identity) exposition.Labels {
	return exposition.RenderLabels(
		catalog.LabelGPUIndex, clip(id.Index), catalog.LabelGPUName, clip(id.Name), catalog.LabelGPUChipIndex, clip(id.Chip))
}

// WriteReading writes a page of what a worker exports of r if r is its first reading: all metrics except those about events
// and about expected or lost GPUs. Sums that the worker makes over time are 0. A second device with the labels
// of another and impossible values are left out. Processes follow as comments at the end.
func WriteReading(w *exposition.Writer, r Reading) {
	devices := slices.Clone(r.Devices)
	keep, _ := distinct(devices)
	devices = selected(devices, keep)
	statuses := make([]deviceStatus, len(devices))
	for i := range devices {
		statuses[i] = firstStatus(&devices[i])
	}
	var b builder
	b.build(statuses)
	var last *catalog.Metric
	for _, s := range b.samples {
		if s.metric != last {
			w.Family(s.metric.WireName(), string(s.metric.Type), s.metric.Help)
			last = s.metric
		}
		w.Sample(s.metric.WireName(), s.value, s.labels)
	}
	writeProcesses(w, statuses)
}

// writeProcesses writes a comment for each process that the driver lists. Processes have no metric of their own, but tests
// that compare pages need them.
func writeProcesses(w *exposition.Writer, statuses []deviceStatus) {
	for _, c := range statuses {
		for _, p := range limit(c.Processes) {
			line := fmt.Appendf(nil, "# process %d {%s}", p.PID, c.labels)
			for _, v := range []struct {
				name  string
				value Value
			}{{"memory_bytes", p.Memory}, {"use", p.Use}} {
				if n, ok := v.value.Get(); ok {
					line = exposition.AppendValue(fmt.Appendf(line, " %s ", v.name), n)
				}
			}
			if p.Slice != "" {
				line = fmt.Appendf(line, " slice %q", clip(p.Slice))
			}
			w.Raw(append(line, '\n'))
		}
	}
}

// deviceStatus is a device with its state beyond one reading. A device that is absent has only its identity, up, action and
// reason.
type deviceStatus struct {
	*Device
	labels      exposition.Labels
	up          bool
	labelsTaken bool        // another device has these labels now
	eventsOnly  bool        // never read: only errors were reported of it
	unread      *deviceView // registered and not in the reading; nil: it was read
	energy      Value
	throttled   []ThrottleTime
	action      Action
	reason      string
	events      []eventTotal
}

// firstStatus returns the status of a device at its first reading, without events.
func firstStatus(d *Device) deviceStatus {
	c := deviceStatus{Device: d, labels: Labels(d.Identity), up: !d.Lost}
	var m meters
	m.add(d, 0)
	c.energy, c.throttled = m.energy(), m.throttled()
	c.action, c.reason = findings{device: d, lost: d.Lost}.action()
	return c
}

const (
	maxDevices = 256 // of one vendor
	maxParts   = 256 // links, slices, counters ... of one GPU
)

// distinct returns the positions of the devices that have labels of their own; of several with the same labels the first.
// It completes their identities. The error names the devices that are left out.
func distinct(devices []Device) (keep []int, err error) {
	var errs []error
	at := make(map[[3]string]int, len(devices))
	for i := range devices {
		d := &devices[i]
		d.complete()
		key := [3]string{d.Index, d.Name, d.Chip}
		other, twice := at[key]
		switch {
		case len(keep) == maxDevices:
			return keep, joinErrors(append(errs, fmt.Errorf("%d GPUs were read: only the first %d are exported", len(devices), maxDevices)))
		case d.Index == "":
			errs = append(errs, fmt.Errorf("GPU %s has no index: it is left out", d.describe()))
		case twice:
			errs = append(errs, fmt.Errorf("GPUs %s and %s are both index %s, chip %s: the second is left out", devices[other].describe(), d.describe(), d.Index, d.Chip))
		default:
			at[key] = i
			keep = append(keep, i)
		}
	}
	return keep, joinErrors(errs)
}

// complete fills in the label values that must not be empty.
func (id *Identity) complete() {
	if id.Chip == "" {
		id.Chip = "0"
	}
	if id.Name == "" {
		id.Name = id.Vendor
	}
}

// describe names a device in an error text.
func (id *Identity) describe() string {
	for _, s := range []string{id.UUID, id.PCI, id.Index} {
		if s != "" {
			return clip(s)
		}
	}
	return "without identity"
}

// family says how the samples of a metric are made from a GPU.
type family struct {
	metric *catalog.Metric
	add    func(b *builder, c *deviceStatus)
	// absent: lost GPUs have the metric, too. lasting: it is also exported while the driver hangs.
	absent, lasting bool
}

// families are in the order of catalog.GPU.
var families = []family{
	{metric: &catalog.GPUInfo, absent: true, add: addInfo},
	{metric: &catalog.GPUInfoGPUStack, add: addInfo}, // GPUStack's rules count the GPUs that are present with it
	{metric: &catalog.GPUCores, add: func(b *builder, c *deviceStatus) { b.within(c.Cores, 1, maxCores) }},
	{metric: &catalog.GPUUtilization, add: func(b *builder, c *deviceStatus) { b.percent(c.Utilization) }},
	{metric: &catalog.GPUTemperature, add: func(b *builder, c *deviceStatus) { b.within(c.Temperature, minCelsius, maxCelsius) }},
	{metric: &catalog.GPUPowerLimit, add: func(b *builder, c *deviceStatus) { b.within(c.PowerLimit, 1, maxWatts) }},
	{metric: &catalog.GPUPowerUsed, add: func(b *builder, c *deviceStatus) { b.within(c.PowerUsed, 0, maxWatts) }},
	{metric: &catalog.GRAMTotal, add: func(b *builder, c *deviceStatus) { b.value(memoryTotal(c.MemoryTotal)) }},
	{metric: &catalog.GRAMUsed, add: func(b *builder, c *deviceStatus) { b.value(memoryUsed(c.MemoryUsed, c.MemoryTotal)) }},
	{metric: &catalog.GRAMUtilization, add: func(b *builder, c *deviceStatus) {
		used, ok := memoryUsed(c.MemoryUsed, c.MemoryTotal).Get()
		total, known := memoryTotal(c.MemoryTotal).Get()
		if ok && known {
			b.add(rate(used, total))
		}
	}},
	{metric: &catalog.GPUUp, absent: true, add: func(b *builder, c *deviceStatus) { b.add(truth(c.up)) }},
	{metric: &catalog.GPUSMActive, add: func(b *builder, c *deviceStatus) { b.value(ratio(c.SMActive)) }},
	{metric: &catalog.GPUSMOccupancy, add: func(b *builder, c *deviceStatus) { b.value(ratio(c.SMOccupancy)) }},
	{metric: &catalog.GPUTensorActive, add: func(b *builder, c *deviceStatus) { b.value(ratio(c.TensorActive)) }},
	{metric: &catalog.GPUDRAMActive, add: func(b *builder, c *deviceStatus) { b.value(ratio(c.DRAMActive)) }},
	{metric: &catalog.GPUMemoryTemperature, add: func(b *builder, c *deviceStatus) { b.within(c.MemoryTemperature, minCelsius, maxCelsius) }},
	{metric: &catalog.GPUEnergy, add: func(b *builder, c *deviceStatus) { b.count(c.energy) }},
	{metric: &catalog.GPUClock, add: eachClock(func(clock Clock) Value { return within(clock.Now, 0, maxHertz) })},
	{metric: &catalog.GPUClockMax, add: eachClock(func(clock Clock) Value { return within(clock.Max, 1, maxHertz) })},
	{metric: &catalog.GPUClockDeficit, add: eachClock(clockDeficit)},
	{metric: &catalog.GPUThrottled, add: func(b *builder, c *deviceStatus) {
		for _, t := range limit(c.throttled) {
			if t.Time >= 0 {
				b.add(t.Time.Seconds(), "reason", string(t.Reason))
			}
		}
	}},
	{metric: &catalog.GPUFanSpeed, add: func(b *builder, c *deviceStatus) {
		for _, f := range limit(c.Fans) {
			b.value(ratio(f.Speed), "fan", f.Name)
		}
	}},
	{metric: &catalog.GPUECCErrors, add: func(b *builder, c *deviceStatus) {
		for _, e := range limit(c.ECC) {
			b.count(Known(e.Count), "kind", e.Kind, "location", e.Location)
		}
	}},
	{metric: &catalog.GPURemappedRows, add: func(b *builder, c *deviceStatus) {
		for _, r := range limit(c.Remapped) {
			b.count(Known(r.Count), "cause", r.Cause)
		}
	}},
	{metric: &catalog.GPURowRemapPending, add: func(b *builder, c *deviceStatus) { b.value(zeroOrOne(c.RowRemapPending)) }},
	{metric: &catalog.GPURowRemapFailed, add: func(b *builder, c *deviceStatus) { b.value(zeroOrOne(c.RowRemapFailed)) }},
	{metric: &catalog.GPUPCIeReplays, add: func(b *builder, c *deviceStatus) { b.count(c.PCIe.Replays) }},
	{metric: &catalog.GPUPCIeReceive, add: func(b *builder, c *deviceStatus) { b.within(c.PCIe.Receive, 0, maxRate) }},
	{metric: &catalog.GPUPCIeTransmit, add: func(b *builder, c *deviceStatus) { b.within(c.PCIe.Transmit, 0, maxRate) }},
	{metric: &catalog.GPUPCIeGeneration, add: func(b *builder, c *deviceStatus) { b.within(c.PCIe.Generation, 1, maxGeneration) }},
	{metric: &catalog.GPUPCIeGenerationMax, add: func(b *builder, c *deviceStatus) { b.within(c.PCIe.GenerationMax, 1, maxGeneration) }},
	{metric: &catalog.GPUPCIeWidth, add: func(b *builder, c *deviceStatus) { b.within(c.PCIe.Width, 1, maxLanes) }},
	{metric: &catalog.GPUPCIeWidthMax, add: func(b *builder, c *deviceStatus) { b.within(c.PCIe.WidthMax, 1, maxLanes) }},
	{metric: &catalog.GPULinkUp, add: eachLink(func(l Link) Value { return zeroOrOne(l.Up) })},
	{metric: &catalog.GPULinkErrors, add: func(b *builder, c *deviceStatus) {
		for _, l := range limit(c.Links) {
			for _, e := range limit(l.Errors) {
				b.count(Known(e.Count), "link_type", l.Type, "link", l.Name, "error", e.Kind)
			}
		}
	}},
	{metric: &catalog.GPULinkReceivedBytes, add: eachLink(func(l Link) Value { return count(l.Received) })},
	{metric: &catalog.GPULinkTransmitted, add: eachLink(func(l Link) Value { return count(l.Transmitted) })},
	{metric: &catalog.GPULinkReceiveRate, add: eachLink(func(l Link) Value { return within(l.ReceiveRate, 0, maxRate) })},
	{metric: &catalog.GPULinkTransmitRate, add: eachLink(func(l Link) Value { return within(l.TransmitRate, 0, maxRate) })},
	{metric: &catalog.GPUErrorEvents, absent: true, lasting: true, add: func(b *builder, c *deviceStatus) {
		for _, e := range c.events {
			b.add(float64(e.count), "kind", e.kind, "code", e.code, "severity", string(e.severity))
		}
	}},
	{metric: &catalog.GPUErrorLastTimestamp, absent: true, lasting: true, add: func(b *builder, c *deviceStatus) {
		for _, e := range c.events {
			b.add(float64(e.last.UnixMilli())/1000, "kind", e.kind, "code", e.code)
		}
	}},
	{metric: &catalog.GPURecommendedAction, absent: true, add: func(b *builder, c *deviceStatus) {
		if c.action != "" {
			b.add(1, "action", string(c.action), "reason", c.reason)
		}
	}},
	{metric: &catalog.GPUSliceInfo, add: func(b *builder, c *deviceStatus) {
		for _, s := range limit(c.Slices) {
			b.add(1, "slice", s.Name, "slice_uuid", s.UUID, "parent_uuid", c.UUID, "profile", s.Profile, "gpu_instance", s.GPUInstance, "compute_instance", s.ComputeInstance)
		}
	}},
	{metric: &catalog.GPUSliceMemoryTotal, add: eachSlice(func(s Slice) Value { return memoryTotal(s.MemoryTotal) })},
	{metric: &catalog.GPUSliceMemoryUsed, add: eachSlice(func(s Slice) Value { return memoryUsed(s.MemoryUsed, s.MemoryTotal) })},
	{metric: &catalog.GPUSliceUtilization, add: eachSlice(func(s Slice) Value { return ratio(s.Utilization) })},
}

func addInfo(b *builder, c *deviceStatus) {
	b.add(1, "uuid", c.UUID, catalog.LabelVendor, c.Vendor, "pci_address", c.PCI, "driver_version", c.Driver, "firmware_version", c.Firmware)
}

func eachClock(get func(Clock) Value) func(*builder, *deviceStatus) {
	return func(b *builder, c *deviceStatus) {
		for _, clock := range limit(c.Clocks) {
			b.value(get(clock), "clock", clock.Part)
		}
	}
}

func eachLink(get func(Link) Value) func(*builder, *deviceStatus) {
	return func(b *builder, c *deviceStatus) {
		for _, l := range limit(c.Links) {
			b.value(get(l), "link_type", l.Type, "link", l.Name)
		}
	}
}

func eachSlice(get func(Slice) Value) func(*builder, *deviceStatus) {
	return func(b *builder, c *deviceStatus) {
		for _, s := range limit(c.Slices) {
			b.value(get(s), "slice", s.Name)
		}
	}
}

func limit[T any](list []T) []T { return list[:min(len(list), maxParts)] }

// joinErrors puts errors on one line.
func joinErrors(errs []error) error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	const most = 5
	texts := make([]string, 0, most+1)
	for _, err := range errs[:min(len(errs), most)] {
		texts = append(texts, err.Error())
	}
	if len(errs) > most {
		texts = append(texts, fmt.Sprintf("and %d more", len(errs)-most))
	}
	return errors.New(strings.Join(texts, "; "))
}
