package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Labels renders the labels that every sample of a card carries.
func Labels(id Identity) exposition.Labels {
	return exposition.RenderLabels(
		catalog.LabelGPUIndex, clip(id.Index), catalog.LabelGPUName, clip(id.Name), catalog.LabelGPUChipIndex, clip(id.Chip))
}

// WriteReading writes a page of what a worker exports of r if r is its first reading: all families but those about events
// and about which cards are expected or lost. Sums that the worker makes over time stand at 0. A second card with the labels
// of another, and a value that cannot be, are left out. Processes stand as comments at the end.
func WriteReading(w *exposition.Writer, r Reading) {
	devices := slices.Clone(r.Devices)
	keep, _ := usable(devices)
	devices = pick(devices, keep)
	cards := make([]card, len(devices))
	for i := range devices {
		cards[i] = firstCard(&devices[i])
	}
	var b builder
	b.build(cards)
	var last *catalog.Metric
	for _, s := range b.samples {
		if s.metric != last {
			w.Family(s.metric.WireName(), string(s.metric.Type), s.metric.Help)
			last = s.metric
		}
		w.Sample(s.metric.WireName(), s.value, s.labels)
	}
	writeProcesses(w, cards)
}

// writeProcesses writes a comment for each process that the driver lists: processes are in no family of their own, and what
// follows from them is not this package's, but who compares pages wants to see them.
func writeProcesses(w *exposition.Writer, cards []card) {
	for _, c := range cards {
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

// card is a device with what is known about it beyond one reading. up, action and reason belong to every card; a card that
// is not there has nothing else but its identity.
type card struct {
	*Device
	labels    exposition.Labels
	up        bool
	taken     bool // another card has the labels now
	stranger  bool // no card that was ever read, only errors
	energy    Value
	throttled []ThrottleTime
	action    Action
	reason    string
	events    []eventTotal
}

// firstCard is a card at its first reading, without events.
func firstCard(d *Device) card {
	c := card{Device: d, labels: Labels(d.Identity), up: !d.Lost}
	var m meters
	m.add(d, 0)
	c.energy, c.throttled = m.energy(), m.throttled()
	c.action, c.reason = advice{device: d, lost: d.Lost}.action()
	return c
}

const (
	maxDevices = 256 // of one vendor
	maxParts   = 256 // links, slices, counters ... of one card
)

// usable says which devices can be told apart by their labels, and of those that cannot the first, and fills in the rest of
// their identities. What it leaves out stands in the error.
func usable(devices []Device) (keep []int, err error) {
	var errs []error
	at := make(map[[3]string]int, len(devices))
	for i := range devices {
		d := &devices[i]
		d.complete()
		key := [3]string{d.Index, d.Name, d.Chip}
		other, twice := at[key]
		switch {
		case len(keep) == maxDevices:
			return keep, joined(append(errs, fmt.Errorf("%d cards were read: only the first %d are exported", len(devices), maxDevices)))
		case d.Index == "":
			errs = append(errs, fmt.Errorf("card %s has no index: it is left out", d.says()))
		case twice:
			errs = append(errs, fmt.Errorf("cards %s and %s are both index %s, chip %s: the second is left out", devices[other].says(), d.says(), d.Index, d.Chip))
		default:
			at[key] = i
			keep = append(keep, i)
		}
	}
	return keep, joined(errs)
}

// complete fills in what must not be empty.
func (id *Identity) complete() {
	if id.Chip == "" {
		id.Chip = "0"
	}
	if id.Name == "" {
		id.Name = id.Vendor
	}
}

// says names a card in an error text.
func (id *Identity) says() string {
	for _, s := range []string{id.UUID, id.PCI, id.Index} {
		if s != "" {
			return clip(s)
		}
	}
	return "without identity"
}

// family is how the samples of one family follow from a card.
type family struct {
	metric *catalog.Metric
	add    func(b *builder, c *card)
	// absent: the family is also of cards that are not there. lasting: and stays while the driver hangs.
	absent, lasting bool
}

// families stand in the order of catalog.GPU.
var families = []family{
	{metric: &catalog.GPUInfo, absent: true, add: func(b *builder, c *card) {
		b.add(1, "uuid", c.UUID, catalog.LabelVendor, c.Vendor, "pci_address", c.PCI, "driver_version", c.Driver, "firmware_version", c.Firmware)
	}},
	{metric: &catalog.GPUCores, add: func(b *builder, c *card) { b.within(c.Cores, 1, maxCores) }},
	{metric: &catalog.GPUUtilization, add: func(b *builder, c *card) { b.percent(c.Utilization) }},
	{metric: &catalog.GPUTemperature, add: func(b *builder, c *card) { b.within(c.Temperature, minCelsius, maxCelsius) }},
	{metric: &catalog.GPUPowerLimit, add: func(b *builder, c *card) { b.within(c.PowerLimit, 1, maxWatts) }},
	{metric: &catalog.GPUPowerUsed, add: func(b *builder, c *card) { b.within(c.PowerUsed, 0, maxWatts) }},
	{metric: &catalog.GRAMTotal, add: func(b *builder, c *card) { b.value(memoryTotal(c.MemoryTotal)) }},
	{metric: &catalog.GRAMUsed, add: func(b *builder, c *card) { b.value(memoryUsed(c.MemoryUsed, c.MemoryTotal)) }},
	{metric: &catalog.GRAMUtilization, add: func(b *builder, c *card) {
		used, ok := memoryUsed(c.MemoryUsed, c.MemoryTotal).Get()
		total, known := memoryTotal(c.MemoryTotal).Get()
		if ok && known {
			b.add(rate(used, total))
		}
	}},
	{metric: &catalog.GPUUp, absent: true, add: func(b *builder, c *card) { b.add(truth(c.up)) }},
	{metric: &catalog.GPUSMActive, add: func(b *builder, c *card) { b.value(ratio(c.SMActive)) }},
	{metric: &catalog.GPUSMOccupancy, add: func(b *builder, c *card) { b.value(ratio(c.SMOccupancy)) }},
	{metric: &catalog.GPUTensorActive, add: func(b *builder, c *card) { b.value(ratio(c.TensorActive)) }},
	{metric: &catalog.GPUDRAMActive, add: func(b *builder, c *card) { b.value(ratio(c.DRAMActive)) }},
	{metric: &catalog.GPUMemoryTemperature, add: func(b *builder, c *card) { b.within(c.MemoryTemperature, minCelsius, maxCelsius) }},
	{metric: &catalog.GPUEnergy, add: func(b *builder, c *card) { b.count(c.energy) }},
	{metric: &catalog.GPUClock, add: eachClock(func(clock Clock) Value { return within(clock.Now, 0, maxHertz) })},
	{metric: &catalog.GPUClockMax, add: eachClock(func(clock Clock) Value { return within(clock.Max, 1, maxHertz) })},
	{metric: &catalog.GPUClockDeficit, add: eachClock(clockDeficit)},
	{metric: &catalog.GPUThrottled, add: func(b *builder, c *card) {
		for _, t := range limit(c.throttled) {
			if t.Time >= 0 {
				b.add(t.Time.Seconds(), "reason", string(t.Reason))
			}
		}
	}},
	{metric: &catalog.GPUFanSpeed, add: func(b *builder, c *card) {
		for _, f := range limit(c.Fans) {
			b.value(ratio(f.Speed), "fan", f.Name)
		}
	}},
	{metric: &catalog.GPUECCErrors, add: func(b *builder, c *card) {
		for _, e := range limit(c.ECC) {
			b.count(Known(e.Count), "kind", e.Kind, "location", e.Location)
		}
	}},
	{metric: &catalog.GPURemappedRows, add: func(b *builder, c *card) {
		for _, r := range limit(c.Remapped) {
			b.count(Known(r.Count), "cause", r.Cause)
		}
	}},
	{metric: &catalog.GPURowRemapPending, add: func(b *builder, c *card) { b.value(zeroOrOne(c.RowRemapPending)) }},
	{metric: &catalog.GPURowRemapFailed, add: func(b *builder, c *card) { b.value(zeroOrOne(c.RowRemapFailed)) }},
	{metric: &catalog.GPUPCIeReplays, add: func(b *builder, c *card) { b.count(c.PCIe.Replays) }},
	{metric: &catalog.GPUPCIeReceive, add: func(b *builder, c *card) { b.within(c.PCIe.Receive, 0, maxRate) }},
	{metric: &catalog.GPUPCIeTransmit, add: func(b *builder, c *card) { b.within(c.PCIe.Transmit, 0, maxRate) }},
	{metric: &catalog.GPUPCIeGeneration, add: func(b *builder, c *card) { b.within(c.PCIe.Generation, 1, maxGeneration) }},
	{metric: &catalog.GPUPCIeGenerationMax, add: func(b *builder, c *card) { b.within(c.PCIe.GenerationMax, 1, maxGeneration) }},
	{metric: &catalog.GPUPCIeWidth, add: func(b *builder, c *card) { b.within(c.PCIe.Width, 1, maxLanes) }},
	{metric: &catalog.GPUPCIeWidthMax, add: func(b *builder, c *card) { b.within(c.PCIe.WidthMax, 1, maxLanes) }},
	{metric: &catalog.GPULinkUp, add: eachLink(func(l Link) Value { return zeroOrOne(l.Up) })},
	{metric: &catalog.GPULinkErrors, add: func(b *builder, c *card) {
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
	{metric: &catalog.GPUErrorEvents, absent: true, lasting: true, add: func(b *builder, c *card) {
		for _, e := range c.events {
			b.add(float64(e.count), "kind", e.kind, "code", e.code, "severity", string(e.severity))
		}
	}},
	{metric: &catalog.GPUErrorLastTimestamp, absent: true, lasting: true, add: func(b *builder, c *card) {
		for _, e := range c.events {
			b.add(float64(e.last.UnixMilli())/1000, "kind", e.kind, "code", e.code)
		}
	}},
	{metric: &catalog.GPURecommendedAction, absent: true, add: func(b *builder, c *card) {
		if c.action != "" {
			b.add(1, "action", string(c.action), "reason", c.reason)
		}
	}},
	{metric: &catalog.GPUSliceInfo, add: func(b *builder, c *card) {
		for _, s := range limit(c.Slices) {
			b.add(1, "slice", s.Name, "slice_uuid", s.UUID, "parent_uuid", c.UUID, "profile", s.Profile, "gpu_instance", s.GPUInstance, "compute_instance", s.ComputeInstance)
		}
	}},
	{metric: &catalog.GPUSliceMemoryTotal, add: eachSlice(func(s Slice) Value { return memoryTotal(s.MemoryTotal) })},
	{metric: &catalog.GPUSliceMemoryUsed, add: eachSlice(func(s Slice) Value { return memoryUsed(s.MemoryUsed, s.MemoryTotal) })},
	{metric: &catalog.GPUSliceUtilization, add: eachSlice(func(s Slice) Value { return ratio(s.Utilization) })},
}

func eachClock(get func(Clock) Value) func(*builder, *card) {
	return func(b *builder, c *card) {
		for _, clock := range limit(c.Clocks) {
			b.value(get(clock), "clock", clock.Part)
		}
	}
}

func eachLink(get func(Link) Value) func(*builder, *card) {
	return func(b *builder, c *card) {
		for _, l := range limit(c.Links) {
			b.value(get(l), "link_type", l.Type, "link", l.Name)
		}
	}
}

func eachSlice(get func(Slice) Value) func(*builder, *card) {
	return func(b *builder, c *card) {
		for _, s := range limit(c.Slices) {
			b.value(get(s), "slice", s.Name)
		}
	}
}

func limit[T any](list []T) []T { return list[:min(len(list), maxParts)] }

// joined puts errors on one line.
func joined(errs []error) error {
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
