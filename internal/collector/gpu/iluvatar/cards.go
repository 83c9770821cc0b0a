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
	// maxCards and maxProcesses bound the cards of one machine and the processes of one card.
	maxCards     = 256
	maxProcesses = 4096
)

// query is what ixsmi -q -x prints. Values are texts with their units, N/A where the card has none.
type query struct {
	XMLName xml.Name `xml:"ixsmi_log"`
	Driver  string   `xml:"driver_version"`
	Cards   []card   `xml:"gpu"`
}

type card struct {
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

// readCards reads what ixsmi -q -x printed. The cards have no index yet.
func readCards(out []byte) ([]gpu.Device, error) {
	var q query
	if err := xml.Unmarshal(bytes.ToValidUTF8(processName.ReplaceAll(out, nil), nil), &q); err != nil {
		return nil, smi.Unrecognized(tool, "", "XML: "+err.Error(), string(out))
	}
	if len(q.Cards) > maxCards {
		return nil, smi.Unrecognized(tool, "", fmt.Sprintf("more than %d cards, with driver %s", maxCards, q.Driver), strconv.Itoa(len(q.Cards)))
	}
	cards := make([]gpu.Device, 0, len(q.Cards))
	for _, c := range q.Cards {
		d := c.device()
		d.Driver = offered(q.Driver)
		cards = append(cards, d)
	}
	return cards, nil
}

func (c *card) device() gpu.Device {
	d := gpu.Device{
		Identity:    gpu.Identity{Vendor: vendor, Chip: "0", Name: offered(c.Name), UUID: offered(c.UUID), PCI: address(c.PCI.Address)},
		Utilization: withUnit(c.Utilization, "%"),
		Temperature: withUnit(c.Temperature, "C"),
		PowerUsed:   withUnit(c.Power.Chip, "W"),
		PowerLimit:  positive(withUnit(c.Power.ChipLimit, "W")),
		MemoryTotal: withUnit(c.MemoryTotal, "MiB"),
		MemoryUsed:  withUnit(c.MemoryUsed, "MiB"),
		PCIe: gpu.PCIe{
			Generation: positive(smi.Number(c.PCI.Gen)), GenerationMax: positive(smi.Number(c.PCI.GenMax)),
			Width: lanes(c.PCI.Wide), WidthMax: lanes(c.PCI.MaxWide),
			Transmit: perSecond(c.PCI.Sent), Receive: perSecond(c.PCI.Got),
		},
	}
	// The board's power is the card's only where no other chip shares the board.
	if strings.TrimSpace(c.MultiBoard) == "No" {
		if d.PowerUsed == (gpu.Value{}) {
			d.PowerUsed = withUnit(c.Power.Board, "W")
		}
		if d.PowerLimit == (gpu.Value{}) {
			d.PowerLimit = positive(withUnit(c.Power.BoardLimit, "W"))
		}
	}
	for _, k := range []struct{ part, now, highest string }{
		{"sm", c.Clocks.SM, c.MaxClocks.SM}, {"memory", c.Clocks.Memory, c.MaxClocks.Memory},
	} {
		clock := gpu.Clock{Part: k.part, Now: withUnit(k.now, "MHz"), Max: positive(withUnit(k.highest, "MHz"))}
		if clock.Now != (gpu.Value{}) || clock.Max != (gpu.Value{}) {
			d.Clocks = append(d.Clocks, clock)
		}
	}
	if v := withUnit(c.Fan, "%"); v != (gpu.Value{}) {
		d.Fans = []gpu.Fan{{Name: "0", Speed: v}}
	}
	for _, e := range []struct{ kind, count string }{{gpu.Corrected, c.SingleBit}, {gpu.Uncorrected, c.DoubleBit}} {
		if n, ok := smi.Number(e.count).Get(); ok && n >= 0 {
			d.ECC = append(d.ECC, gpu.ECC{Kind: e.kind, Count: n})
		}
	}
	if c.Processes == nil {
		return d
	}
	d.ProcessesKnown = true
	for _, p := range c.Processes.List[:min(len(c.Processes.List), maxProcesses)] {
		if pid, err := strconv.Atoi(strings.TrimSpace(p.PID)); err == nil && pid > 0 {
			d.Processes = append(d.Processes, gpu.Process{PID: pid, Memory: withUnit(p.Memory, "MiB")})
		}
	}
	return d
}

// readIndexes reads what ixsmi --query-gpu=index,uuid --format=csv printed into indexes by UUID.
func readIndexes(out []byte) (map[string]string, error) {
	rows, err := smi.CSV(tool, "", out, "index", "uuid")
	indexes := make(map[string]string, len(rows))
	taken := map[string]bool{}
	for _, row := range rows {
		index, uuid := row["index"], row["uuid"]
		if index == "" || len(index) > 4 || strings.Trim(index, "0123456789") != "" || uuid == "" || taken[index] || indexes[uuid] != "" {
			return nil, smi.Unrecognized(tool, "", "row of index and UUID", index+", "+uuid)
		}
		taken[index], indexes[uuid] = true, index
	}
	return indexes, err
}

// offered returns a text, or "" for one that the card doesn't offer.
func offered(s string) string {
	if s = strings.TrimSpace(s); s == "N/A" {
		return ""
	}
	return s
}

// withUnit reads a number that carries its unit. One without is of a version that this program doesn't know.
func withUnit(s, unit string) gpu.Value {
	s = strings.TrimSpace(s)
	if strings.TrimRight(s, "0123456789.") == s {
		return smi.Quantity(s, unit)
	}
	return gpu.Value{}
}

// perSecond reads "0 KB/s".
func perSecond(s string) gpu.Value {
	amount, ok := strings.CutSuffix(strings.TrimSpace(s), "/s")
	if !ok {
		return gpu.Value{}
	}
	return withUnit(amount, "KB")
}

// positive leaves out 0, which says that nothing was set or found.
func positive(v gpu.Value) gpu.Value {
	if n, ok := v.Get(); ok && n > 0 {
		return v
	}
	return gpu.Value{}
}

// lanes reads "16x".
func lanes(s string) gpu.Value {
	number, ok := strings.CutSuffix(strings.TrimSpace(s), "x")
	if !ok {
		return gpu.Value{}
	}
	return positive(smi.Number(number))
}

// address turns 00000000:0C:00.0 into 0000:0c:00.0, as Linux names devices.
func address(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if len(s) == len("00000000:0c:00.0") {
		s = strings.TrimPrefix(s, "0000")
	}
	if strings.Trim(s, "0123456789abcdef:.") != "" || strings.Count(s, ":") != 2 {
		return ""
	}
	return s
}
