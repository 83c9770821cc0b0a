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
	// maxCards and maxProcesses bound the cards of one machine and the processes of one card.
	maxCards     = 256
	maxProcesses = 4096
)

var (
	// ================CNMON v5.10.22================
	banner = regexp.MustCompile(`^=+\s*CNMON (v?[0-9][0-9A-Za-z.-]*)\s*=+$`)
	// Card 0
	heading = regexp.MustCompile(`^Card ([0-9]{1,4})$`)
)

// readCards reads what cnmon info printed: the tool's version, then an outline a card. Cards that are whole are returned
// beside an error about others.
func readCards(out []byte) ([]gpu.Device, error) {
	var (
		version string
		indexes []string
		blocks  [][]string
	)
	for _, line := range wholeLines(out) {
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
	case len(blocks) == 0 || len(blocks) > maxCards:
		return nil, smi.Unrecognized(tool, version, fmt.Sprintf("cards, of which 1 to %d are understood", maxCards), string(out))
	}
	var (
		cards  []gpu.Device
		faults error
		seen   = map[string]bool{}
	)
	for i, block := range blocks {
		d := readCard(version, outline(block))
		d.Index = indexes[i]
		if d.Name == "" || seen[d.Index] {
			faults = both(faults, smi.Unrecognized(tool, version, "card, which needs a product name and an index of its own", d.Index))
			continue
		}
		seen[d.Index] = true
		cards = append(cards, d)
	}
	return cards, faults
}

func readCard(version string, entries []entry) gpu.Device {
	values := map[string]string{}
	for _, e := range entries {
		if _, twice := values[e.path]; !twice && e.value != "N/A" {
			values[e.path] = e.value
		}
	}
	quantity := func(path, unit string) gpu.Value { return withUnit(values[path], unit) }
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
		PowerLimit:        positive(quantity("Power/Cap", "W")),
		MemoryTotal:       quantity("Physical Memory Usage/Total", "MiB"),
		MemoryUsed:        quantity("Physical Memory Usage/Used", "MiB"),
		PCIe: gpu.PCIe{
			Generation: generation(values["PCI/Current Speed"]), GenerationMax: generation(values["PCI/Max Speed"]),
			Width: lanes(values["PCI/Current Width"]), WidthMax: lanes(values["PCI/Max Width"]),
		},
	}
	if strings.HasPrefix(version, "v4.") { // it shows no chip's temperature
		d.Temperature = quantity("Temperature/Board", "C")
	}
	d.Processes, d.ProcessesKnown = processes(entries)
	return d
}

// processes reads the section of processes. One without a PID is left out.
func processes(entries []entry) (list []gpu.Process, known bool) {
	var p *gpu.Process
	for _, e := range entries {
		switch e.path {
		case "Processes":
			known = e.value == ""
		case "Processes/Process":
			if len(list) == maxProcesses {
				return nil, false
			}
			list = append(list, gpu.Process{})
			p = &list[len(list)-1]
		case "Processes/Process/PID":
			p.PID, _ = strconv.Atoi(e.value)
		case "Processes/Process/MLU Memory Usage":
			p.Memory = withUnit(e.value, "MiB")
		}
	}
	return slices.DeleteFunc(list, func(p gpu.Process) bool { return p.PID <= 0 }), known
}

// withUnit reads a number that carries its unit. One without is of a version that this program doesn't know.
func withUnit(s, unit string) gpu.Value {
	if strings.TrimRight(s, "0123456789.") == s {
		return smi.Quantity(s, unit)
	}
	return gpu.Value{}
}

// positive leaves out 0, which says that nothing was set.
func positive(v gpu.Value) gpu.Value {
	if n, ok := v.Get(); ok && n > 0 {
		return v
	}
	return gpu.Value{}
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

// lanes reads "x16".
func lanes(s string) gpu.Value {
	number, ok := strings.CutPrefix(s, "x")
	if !ok {
		return gpu.Value{}
	}
	return positive(smi.Number(number))
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
