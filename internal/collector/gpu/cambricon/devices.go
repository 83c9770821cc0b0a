package cambricon

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
	// maxDevices and maxProcesses bound the MLUs of one machine and the processes of one MLU.
	maxDevices   = 256
	maxProcesses = 4096
)

var (
	// ================CNMON v5.10.22================
	banner = regexp.MustCompile(`^=+\s*CNMON (v?[0-9][0-9A-Za-z.-]*)\s*=+$`)
	// Card 0
	heading = regexp.MustCompile(`^Card ([0-9]{1,4})$`)
)

// readDevices reads what cnmon info printed: the tool's version, then an outline an MLU. MLUs that are whole are returned
// beside an error about others.
func readDevices(out []byte) ([]gpu.Device, error) {
	var (
		version string
		indexes []string
		blocks  [][]string
	)
	for _, line := range smi.WholeLines(out) {
		text := strings.TrimRight(line, " ")
		switch {
		case version == "":
			if m := banner.FindStringSubmatch(text); m != nil {
				version = m[1]
			}
		case heading.MatchString(text):
			indexes, blocks = append(indexes, heading.FindStringSubmatch(text)[1]), append(blocks, nil)
		case len(blocks) > 0:
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], line)
		}
	}
	switch {
	case version == "":
		return nil, smi.Unrecognized(tool, "", "first line, which needs CNMON and its version", string(out))
	case len(blocks) == 0 || len(blocks) > maxDevices:
		return nil, smi.Unrecognized(tool, version, fmt.Sprintf("MLUs, of which 1 to %d are understood", maxDevices), string(out))
	}
	var (
		devices []gpu.Device
		faults  smi.Faults
		seen    = map[string]bool{}
	)
	for i, block := range blocks {
		d := readDevice(version, smi.Outline(block))
		d.Index = indexes[i]
		if d.Name == "" || seen[d.Index] {
			faults.Add(smi.Unrecognized(tool, version, "MLU, which needs a product name and an index of its own", d.Index))
			continue
		}
		seen[d.Index] = true
		devices = append(devices, d)
	}
	return devices, faults.Err()
}

func readDevice(version string, entries []smi.Entry) gpu.Device {
	values := smi.Texts(entries)
	quantity := func(path, unit string) gpu.Value { return smi.WithUnit(values[path], unit) }
	d := gpu.Device{
		Identity: gpu.Identity{
			Vendor: vendor, Chip: "0", Name: values["Product Name"], UUID: values["UUID"],
			Driver: values["Driver"], Firmware: values["Firmware"],
			PCI: address(values["PCI/Domain ID"], values["PCI/Bus num"], values["PCI/Device"], values["PCI/Function"]),
		},
		Utilization:       quantity("Utilization/MLU Average", "%"),
		Temperature:       quantity("Temperature/Chip", "C"),
		MemoryTemperature: quantity("Temperature/Memory", "C"),
		PowerUsed:         quantity("Power/Usage", "W"),
		PowerLimit:        smi.Positive(quantity("Power/Cap", "W")),
		MemoryTotal:       quantity("Physical Memory Usage/Total", "MiB"),
		MemoryUsed:        quantity("Physical Memory Usage/Used", "MiB"),
		PCIe: gpu.PCIe{
			Generation: generation(values["PCI/Current Speed"]), GenerationMax: generation(values["PCI/Max Speed"]),
			Width: smi.Lanes(values["PCI/Current Width"]), WidthMax: smi.Lanes(values["PCI/Max Width"]),
		},
	}
	if strings.HasPrefix(version, "v4.") { // it shows no chip's temperature
		d.Temperature = quantity("Temperature/Board", "C")
	}
	d.Processes, d.ProcessesKnown = processes(entries)
	return d
}

// processes reads the section of processes. One without a PID is left out.
func processes(entries []smi.Entry) (list []gpu.Process, known bool) {
	var p *gpu.Process
	for _, e := range entries {
		switch e.Path {
		case "Processes":
			known = e.Value == ""
		case "Processes/Process":
			if len(list) == maxProcesses {
				return nil, false
			}
			list = append(list, gpu.Process{})
			p = &list[len(list)-1]
		case "Processes/Process/PID":
			p.PID, _ = strconv.Atoi(e.Value)
		case "Processes/Process/MLU Memory Usage":
			p.Memory = smi.WithUnit(e.Value, "MiB")
		}
	}
	return slices.DeleteFunc(list, func(p gpu.Process) bool { return p.PID <= 0 }), known
}

// generation is the PCIe generation of a speed in GT/s.
func generation(s string) gpu.Value {
	speed, ok := strings.CutSuffix(s, "GT/s")
	if !ok {
		return gpu.Value{}
	}
	switch n, _ := smi.Number(speed).Get(); n {
	case 2.5:
		return gpu.Known(1)
	case 5:
		return gpu.Known(2)
	case 8:
		return gpu.Known(3)
	case 16:
		return gpu.Known(4)
	case 32:
		return gpu.Known(5)
	case 64:
		return gpu.Known(6)
	}
	return gpu.Value{}
}

// address makes 0000:3b:00.0 of its parts, which the tool gives in hexadecimal digits; "" if one is missing.
func address(domain, bus, device, function string) string {
	var n [4]uint64
	for i, part := range []string{domain, bus, device, function} {
		v, err := strconv.ParseUint(strings.TrimPrefix(part, "0x"), 16, 16)
		if err != nil {
			return ""
		}
		n[i] = v
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", n[0], n[1], n[2], n[3])
}
