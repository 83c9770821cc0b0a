package iluvatar

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	// maxDevices and maxProcesses bound the GPUs of one machine and the processes of one GPU.
	maxDevices   = 256
	maxProcesses = 4096
)

// query is what ixsmi -q -x prints. Values are texts with their units, N/A where the GPU has none.
type query struct {
	XMLName xml.Name `xml:"ixsmi_log"`
	Driver  string   `xml:"driver_version"`
	Devices []device `xml:"gpu"`
}

type device struct {
	Name       string `xml:"product_name"`
	UUID       string `xml:"uuid"`
	MultiBoard string `xml:"multigpu_board"`
	PCI        struct {
		Address string `xml:"pci_bus_id"`
		GenMax  string `xml:"pci_gpu_link_info>pcie_gen>max_link_gen"`
		Gen     string `xml:"pci_gpu_link_info>pcie_gen>current_link_gen"`
		MaxWide string `xml:"pci_gpu_link_info>link_widths>max_link_width"`
		Wide    string `xml:"pci_gpu_link_info>link_widths>current_link_width"`
		Sent    string `xml:"tx_util"`
		Got     string `xml:"rx_util"`
	} `xml:"pci"`
	Fan         string `xml:"fan_speed"`
	MemoryTotal string `xml:"memory_usage>total"`
	MemoryUsed  string `xml:"memory_usage>used"`
	Utilization string `xml:"utilization>gpu_util"`
	SingleBit   string `xml:"ecc_errors>single_bit"`
	DoubleBit   string `xml:"ecc_errors>double_bit"`
	Temperature string `xml:"temperature>gpu_temp"`
	Power       struct {
		Chip       string `xml:"gpu_power_draw"`
		ChipLimit  string `xml:"current_gpu_power_limit"`
		Board      string `xml:"board_power_draw"`
		BoardLimit string `xml:"current_board_power_limit"`
	} `xml:"power_readings"`
	Clocks    clocks `xml:"clocks"`
	MaxClocks clocks `xml:"max_clocks"`
	Processes *struct {
		List []struct {
			PID    string `xml:"pid"`
			Memory string `xml:"used_memory"`
		} `xml:"process_info"`
	} `xml:"processes"`
}

type clocks struct {
	SM     string `xml:"sm_clock"`
	Memory string `xml:"mem_clock"`
}

// processName is cut out before the XML is read: command lines can hold what would make it illegal.
var processName = regexp.MustCompile(`(?s)<process_name>.*?</process_name>`)

// readDevices reads what ixsmi -q -x printed. The GPUs have no index yet.
func readDevices(out []byte) ([]gpu.Device, error) {
	var q query
	if err := xml.Unmarshal(bytes.ToValidUTF8(processName.ReplaceAll(out, nil), nil), &q); err != nil {
		return nil, smi.Unrecognized(tool, "", "XML: "+err.Error(), string(out))
	}
	if len(q.Devices) > maxDevices {
		return nil, smi.Unrecognized(tool, "", fmt.Sprintf("more than %d GPUs, with driver %s", maxDevices, q.Driver), strconv.Itoa(len(q.Devices)))
	}
	devices := make([]gpu.Device, 0, len(q.Devices))
	for _, c := range q.Devices {
		d := c.device()
		d.Driver = smi.Text(q.Driver)
		devices = append(devices, d)
	}
	return devices, nil
}

func (c *device) device() gpu.Device {
	d := gpu.Device{
		Identity:    gpu.Identity{Vendor: vendor, Chip: "0", Name: smi.Text(c.Name), UUID: smi.Text(c.UUID), PCI: smi.Address(c.PCI.Address)},
		Utilization: smi.WithUnit(c.Utilization, "%"),
		Temperature: smi.WithUnit(c.Temperature, "C"),
		PowerUsed:   smi.WithUnit(c.Power.Chip, "W"),
		PowerLimit:  smi.Positive(smi.WithUnit(c.Power.ChipLimit, "W")),
		MemoryTotal: smi.WithUnit(c.MemoryTotal, "MiB"),
		MemoryUsed:  smi.WithUnit(c.MemoryUsed, "MiB"),
		PCIe: gpu.PCIe{
			Generation: smi.Positive(smi.Number(c.PCI.Gen)), GenerationMax: smi.Positive(smi.Number(c.PCI.GenMax)),
			Width: smi.Lanes(c.PCI.Wide), WidthMax: smi.Lanes(c.PCI.MaxWide),
			Transmit: smi.PerSecond(c.PCI.Sent), Receive: smi.PerSecond(c.PCI.Got),
		},
	}
	// The board's power is the GPU's only where no other chip shares the board.
	if strings.TrimSpace(c.MultiBoard) == "No" {
		if d.PowerUsed == (gpu.Value{}) {
			d.PowerUsed = smi.WithUnit(c.Power.Board, "W")
		}
		if d.PowerLimit == (gpu.Value{}) {
			d.PowerLimit = smi.Positive(smi.WithUnit(c.Power.BoardLimit, "W"))
		}
	}
	for _, k := range []struct{ part, now, highest string }{
		{"sm", c.Clocks.SM, c.MaxClocks.SM}, {"memory", c.Clocks.Memory, c.MaxClocks.Memory},
	} {
		clock := gpu.Clock{Part: k.part, Now: smi.WithUnit(k.now, "MHz"), Max: smi.Positive(smi.WithUnit(k.highest, "MHz"))}
		if clock.Now != (gpu.Value{}) || clock.Max != (gpu.Value{}) {
			d.Clocks = append(d.Clocks, clock)
		}
	}
	if v := smi.WithUnit(c.Fan, "%"); v != (gpu.Value{}) {
		d.Fans = []gpu.Fan{{Name: "0", Speed: v}}
	}
	for _, e := range []struct{ kind, count string }{{gpu.Corrected, c.SingleBit}, {gpu.Uncorrected, c.DoubleBit}} {
		if n, ok := smi.Count(e.count).Get(); ok {
			d.ECC = append(d.ECC, gpu.ECC{Kind: e.kind, Count: n})
		}
	}
	if c.Processes == nil {
		return d
	}
	d.ProcessesKnown = true
	for _, p := range c.Processes.List[:min(len(c.Processes.List), maxProcesses)] {
		if pid, err := strconv.Atoi(strings.TrimSpace(p.PID)); err == nil && pid > 0 {
			d.Processes = append(d.Processes, gpu.Process{PID: pid, Memory: smi.WithUnit(p.Memory, "MiB")})
		}
	}
	return d
}

// readIndexes reads what ixsmi --query-gpu=index,uuid --format=csv printed into indexes by UUID, beside an error about rows
// that are not whole.
func readIndexes(out []byte) (map[string]string, error) {
	rows, err := smi.CSV(tool, "", out, "index", "uuid")
	var faults smi.Faults
	faults.Add(err)
	indexes := make(map[string]string, len(rows))
	taken := map[string]bool{}
	for _, row := range rows {
		index, uuid := smi.Index(row["index"]), row["uuid"]
		if taken[index] || indexes[uuid] != "" {
			return nil, smi.Unrecognized(tool, "", "row of an index and UUID of its own", row["index"]+", "+uuid)
		}
		if index == "" || uuid == "" {
			faults.Add(smi.Unrecognized(tool, "", "row of index and UUID", row["index"]+", "+uuid))
			continue
		}
		taken[index], indexes[uuid] = true, index
	}
	return indexes, faults.Err()
}
