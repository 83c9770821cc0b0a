package thead

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	// maxDevices and maxProcesses bound the PPUs of one machine and the processes of one PPU.
	maxDevices   = 256
	maxProcesses = 4096
	banner       = "PPUSMI LOG"
)

// heading begins a PPU: PPU 00000000:01:00.0
var heading = regexp.MustCompile(`^PPU ([0-9A-Fa-f]{8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])$`)

// device is a PPU of the query, without its index.
type device struct {
	gpu.Device
	split bool // MIG is on
}

// readPPUs reads what ppu-smi -q printed. PPUs that are whole are returned beside an error about others.
func readPPUs(out []byte) ([]device, error) {
	var (
		known     bool
		addresses []string
		blocks    [][]string
		top       []string
	)
	for _, line := range smi.WholeLines(out) {
		text := strings.TrimRight(line, " ")
		switch m := heading.FindStringSubmatch(text); {
		case !known:
			known = strings.Contains(text, banner)
		case m != nil:
			addresses, blocks = append(addresses, m[1]), append(blocks, nil)
		case len(blocks) > 0:
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], line)
		default:
			top = append(top, line)
		}
	}
	if !known || len(blocks) > maxDevices {
		return nil, smi.Unrecognized(tool, "", fmt.Sprintf("query, which needs the line %s and at most %d PPUs", banner, maxDevices), string(out))
	}
	head := smi.Texts(smi.Outline(top))
	driver := head["Driver Version"]
	attached, err := strconv.Atoi(head["Attached PPUs"])
	if err != nil {
		return nil, smi.Unrecognized(tool, "", "Attached PPUs, with driver "+driver, head["Attached PPUs"])
	}
	var faults smi.Faults
	if attached != len(blocks) {
		faults.Add(smi.Unrecognized(tool, "", fmt.Sprintf("query, with driver %s, which has %d PPUs", driver, len(blocks)), fmt.Sprintf("Attached PPUs: %d", attached)))
	}
	ppus := make([]device, 0, len(blocks))
	seen := map[string]bool{}
	for i, block := range blocks {
		entries := smi.Outline(block)
		v := smi.Texts(entries)
		c := readPPU(v)
		c.PCI, c.Driver = smi.Address(addresses[i]), driver
		if c.UUID == "" || c.Name == "" || seen[c.UUID] {
			faults.Add(smi.Unrecognized(tool, "", "PPU, which needs a name and a UUID of its own, with driver "+driver, addresses[i]))
			continue
		}
		seen[c.UUID] = true
		c.Processes, c.ProcessesKnown = processes(entries)
		ppus = append(ppus, c)
	}
	return ppus, faults.Err()
}

func readPPU(v map[string]string) device {
	quantity := func(path, unit string) gpu.Value { return smi.WithUnit(v[path], unit) }
	d := gpu.Device{
		Identity:          gpu.Identity{Vendor: vendor, Chip: "0", Name: v["Product Name"], UUID: v["PPU UUID"], Firmware: v["VBIOS Version"]},
		Utilization:       quantity("Utilization/Ppu", "%"),
		Temperature:       quantity("Temperature/PPU Current Temp", "C"),
		MemoryTemperature: quantity("Temperature/Memory Current Temp", "C"),
		PowerUsed:         quantity("Power Readings/Power Draw", "W"),
		PowerLimit:        smi.Positive(quantity("Power Readings/Enforced Power Limit", "W")),
		MemoryTotal:       quantity("Memory Usage/Total", "MiB"),
		MemoryUsed:        quantity("Memory Usage/Used", "MiB"),
		PCIe: gpu.PCIe{
			Generation:    smi.Positive(smi.Number(v["PCI/PPU Link Info/PCIe Generation/Current"])),
			GenerationMax: smi.Positive(smi.Number(v["PCI/PPU Link Info/PCIe Generation/Max"])),
			Width:         smi.Lanes(v["PCI/PPU Link Info/Link Width/Current"]),
			WidthMax:      smi.Lanes(v["PCI/PPU Link Info/Link Width/Max"]),
			Replays:       smi.Count(v["PCI/Replays Since Reset"]),
			Transmit:      smi.PerSecond(v["PCI/Tx Throughput"]),
			Receive:       smi.PerSecond(v["PCI/Rx Throughput"]),
		},
		RowRemapPending: yes(v["Remapped Rows/Pending"]),
		RowRemapFailed:  yes(v["Remapped Rows/Remapping Failure Occurred"]),
	}
	if d.PowerLimit == (gpu.Value{}) {
		d.PowerLimit = smi.Positive(quantity("Power Readings/Power Limit", "W"))
	}
	for _, k := range [...][2]string{{"sm", "CU"}, {"memory", "Memory"}, {"video", "Video"}} {
		c := gpu.Clock{Part: k[0], Now: quantity("Clocks/"+k[1], "MHz"), Max: smi.Positive(quantity("Max Clocks/"+k[1], "MHz"))}
		if c.Now != (gpu.Value{}) || c.Max != (gpu.Value{}) {
			d.Clocks = append(d.Clocks, c)
		}
	}
	if speed := quantity("Fan Speed", "%"); speed != (gpu.Value{}) {
		d.Fans = []gpu.Fan{{Name: "0", Speed: speed}}
	}
	for _, e := range [...]struct{ path, kind, location string }{
		{"SRAM Correctable", gpu.Corrected, "sram"},
		{"SRAM Uncorrectable", gpu.Uncorrected, "sram"},
		{"DRAM Correctable", gpu.Corrected, "dram"},
		{"DRAM Uncorrectable", gpu.Uncorrected, "dram"},
	} {
		if n, ok := smi.Count(v["ECC Errors/Volatile/"+e.path]).Get(); ok {
			d.ECC = append(d.ECC, gpu.ECC{Kind: e.kind, Location: e.location, Count: n})
		}
	}
	addRemapped(&d, v)
	addThrottles(&d, v)
	return device{Device: d, split: v["MIG Mode/Current"] == "Enabled"}
}

// addRemapped counts rows where the PPU remaps rows, else pages.
func addRemapped(d *gpu.Device, v map[string]string) {
	for _, names := range [...][2]string{
		{"Remapped Rows/Correctable Error", "Remapped Rows/Uncorrectable Error"},
		{"Retired Pages/Single Bit ECC", "Retired Pages/Double Bit ECC"},
	} {
		for i, cause := range []string{gpu.Corrected, gpu.Uncorrected} {
			if n, ok := smi.Count(v[names[i]]).Get(); ok {
				d.Remapped = append(d.Remapped, gpu.Remapped{Cause: cause, Count: n})
			}
		}
		if len(d.Remapped) > 0 {
			break
		}
	}
	if d.RowRemapPending == (gpu.Value{}) {
		d.RowRemapPending = yes(v["Retired Pages/Pending Page Blacklist"])
	}
}

// addThrottles reads the reasons that are marked as active. An idle PPU is not throttled.
func addThrottles(d *gpu.Device, v map[string]string) {
	const section, hardware = "Clocks Throttle Reasons/", "HW Slowdown"
	for _, r := range []struct {
		path   string
		reason gpu.Throttle
	}{
		{"Applications Clocks Setting", gpu.ThrottleUserClocks},
		{"SW Power Cap", gpu.ThrottlePowerCap},
		{hardware + "/HW Thermal Slowdown", gpu.ThrottleThermalHW},
		{hardware + "/HW Power Brake Slowdown", gpu.ThrottlePowerBrake},
		{"Sync Boost", gpu.ThrottleSync},
		{"SW Thermal Slowdown", gpu.ThrottleThermal},
	} {
		switch v[section+r.path] {
		case "Active":
			d.Throttles = append(d.Throttles, r.reason)
			fallthrough
		case "Not Active":
			d.ThrottleKnown = true
			d.ThrottleReasons = append(d.ThrottleReasons, r.reason)
		}
	}
	if v[section+hardware] == "Active" && v[section+hardware+"/HW Thermal Slowdown"] != "Active" && v[section+hardware+"/HW Power Brake Slowdown"] != "Active" {
		d.ThrottleKnown = true
		d.Throttles = append(d.Throttles, gpu.ThrottleHW)
	}
}

// processes reads the section of processes. Slices are named by the number of their compute instance until nameSlices does.
// A process without a PID is left out.
func processes(entries []smi.Entry) (list []gpu.Process, known bool) {
	var (
		instance string
		p        *gpu.Process
	)
	for _, e := range entries {
		switch e.Path {
		case "Processes":
			known = e.Value == ""
		case "Processes/Compute instance ID":
			instance = strings.TrimPrefix(e.Value, "N/A")
		case "Processes/Process ID":
			if len(list) == maxProcesses {
				return nil, false
			}
			pid, _ := strconv.Atoi(e.Value)
			list = append(list, gpu.Process{PID: pid, Slice: instance})
			p, instance = &list[len(list)-1], ""
		case "Processes/Process ID/Used PPU Memory":
			p.Memory = smi.WithUnit(e.Value, "MiB")
		}
	}
	return slices.DeleteFunc(list, func(p gpu.Process) bool { return p.PID <= 0 }), known
}

func yes(s string) gpu.Value {
	switch s {
	case "Yes":
		return gpu.Known(1)
	case "No":
		return gpu.Known(0)
	}
	return gpu.Value{}
}
