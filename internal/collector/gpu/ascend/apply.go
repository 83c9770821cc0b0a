package ascend

import (
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

// apply adds to a chip what the details say of it. isFirst: it is the first chip of its NPU.
func (d *details) apply(c *chip, isFirst bool) {
	d.identify(c)
	dev := &c.device
	if f := d.fields("common", c.npu, c.id); f != nil {
		dev.Cores = smi.Number(f["Aicore Count"])
		now, most := smi.Quantity(f["Aicore curFreq(MHZ)"], "MHz"), smi.Quantity(f["Aicore Freq(MHZ)"], "MHz")
		dev.Clocks = append(dev.Clocks, gpu.Clock{Part: "sm", Now: now, Max: most})
	}
	if _, ok := dev.PowerUsed.Get(); !ok && isFirst { // a 310P measures its NPU, at the management controller
		dev.PowerUsed = notZero(smi.Quantity(d.fields("common", c.npu, mcu)["NPU Real-time Power(W)"], "W"))
	}
	if f := d.fields("usages", c.npu, c.id); f != nil {
		dev.TensorActive = smi.Quantity(f["Aicube Usage Rate(%)"], "%")
		dev.DRAMActive = smi.Quantity(either(f, "HBM Bandwidth Usage Rate(%)", "DDR Bandwidth Usage Rate(%)", "Memory Bandwidth Usage Rate(%)"), "%")
	}
	if f := d.fields("memory", c.npu, c.id); f != nil {
		dev.MemoryTemperature = notZero(smi.Quantity(f["HBM Temperature(C)"], "C"))
		clock := notZero(smi.Quantity(either(f, "HBM Clock Speed(MHz)", "DDR Clock Speed(MHz)", "Clock Speed(MHz)"), "MHz"))
		dev.Clocks = append(dev.Clocks, gpu.Clock{Part: "memory", Now: clock})
	}
	d.errors(c, d.fields("ecc", c.npu, c.id))
	if f := d.fields("health", c.npu, c.id); f != nil {
		d.watch(c, f["Error Code"])
	}
	if a, ok := d.of("hccs", c.npu, c.id); ok {
		dev.Links = a.links
	}
	if a, ok := d.of("info-vnpu", c.npu, c.id); ok && len(a.slices) > 0 {
		dev.Slices = a.slices
		dev.Utilization = gpu.Value{} // npu-smi prints 0 for a chip in parts, whatever they do
	}
}

// identify fills in what says which chip it is. The die's number is the only one that chips do not share.
func (d *details) identify(c *chip) {
	id := &c.device.Identity
	board := d.fields("board", c.npu, "")
	id.Firmware = smi.Text(board["Firmware Version"])
	a, _ := d.of("board", c.npu, c.id)
	own := a.chips[""]
	if id.Firmware == "" {
		id.Firmware = smi.Text(own["Firmware Version"])
	}
	if id.PCI == "" {
		id.PCI = strings.ToLower(smi.Text(own["PCIe Bus Info"]))
	}
	die := smi.Text(either(own, "VDie ID", "Die ID"))
	if die == "" {
		die = smi.Text(board["DDie ID"]) // a 950 has one chip and tells it with its NPU
	}
	if strings.Trim(die, "0 ") == "" {
		die = ""
	}
	if id.UUID = strings.ReplaceAll(die, " ", "-"); id.UUID == "" && board["Chip Count"] == "1" {
		id.UUID = smi.Text(board["Serial Number"])
	}
}

// errors reads the error counts since the chip was started; npu-smi also has those of its whole life. The pages that single
// bits cost are left out: the manual calls them reserved and always 0.
func (d *details) errors(c *chip, f fields) {
	dev := &c.device
	isolated, pending := gpu.Value{}, gpu.Value{}
	for _, location := range []string{"hbm", "ddr"} {
		prefix := strings.ToUpper(location) + " "
		for _, kind := range []struct{ name, key string }{{gpu.Corrected, "Single Bit Error Count"}, {gpu.Uncorrected, "Double Bit Error Count"}} {
			if n, ok := smi.Number(f[prefix+kind.key]).Get(); ok && n >= 0 {
				dev.ECC = append(dev.ECC, gpu.ECC{Kind: kind.name, Location: location, Count: n})
			}
		}
		isolated = sum(isolated, smi.Number(f[prefix+"Double Bit Isolated Pages Count"]))
		pending = sum(pending, smi.Number(f[prefix+"Double Bit Next-Isolated Pages Count"]))
	}
	if n, ok := isolated.Get(); ok {
		dev.Remapped = []gpu.Remapped{{Cause: gpu.Uncorrected, Count: n}}
	}
	if n, ok := pending.Get(); ok {
		dev.RowRemapPending = gpu.Known(min(n, 1))
	}
}

func sum(a, b gpu.Value) gpu.Value {
	x, known := a.Get()
	y, ok := b.Get()
	if !ok || y < 0 {
		return a
	}
	if !known {
		return b
	}
	return gpu.Known(x + y)
}

const (
	// kind is the kind of the events that are error codes of a chip's health.
	kind     = "fault"
	maxCodes = 128 // that a chip may show at once, as in Huawei's interface
)

// watch makes an event of each error code that was not there before. Those of the first answer are no events: they may have
// been counted before the worker was started.
func (d *details) watch(c *chip, text string) {
	var codes []string
	for code := range strings.FieldsSeq(smi.Text(text)) {
		code = strings.ToUpper(strings.TrimPrefix(code, "0x"))
		if len(code) > 8 || strings.Trim(code, "0123456789ABCDEF") != "" || len(codes) == maxCodes {
			return // not understood
		}
		codes = append(codes, code)
	}
	at := place(c.npu, c.id)
	before, known := d.codes[at]
	if d.codes == nil || len(d.codes) > 2*maxChips { // far more chips than there were at any time
		d.codes = map[string][]string{}
	}
	d.codes[at] = codes
	if !known {
		return
	}
	for _, code := range codes {
		if !slices.Contains(before, code) {
			d.events = append(d.events, gpu.Event{
				At: d.now, Vendor: vendor, UUID: c.device.UUID, PCI: c.device.PCI, Kind: kind, Code: "0x" + code, Source: gpu.SourceDriver,
			})
		}
	}
}

func (d *details) takeEvents() []gpu.Event {
	events := d.events
	d.events = nil
	return events
}

// either is the first of the keys that is there.
func either(f fields, keys ...string) string {
	for _, k := range keys {
		if s, ok := f[k]; ok {
			return s
		}
	}
	return ""
}
