package mthreads

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

// maxDevices bounds the GPUs of one machine.
const maxDevices = 256

// section is an object of the tool's JSON. Its values are texts with their units.
type section map[string]any

// readDevices reads what mthreads-gmi -q --json printed. GPUs that are whole are returned beside an error about others.
func readDevices(out []byte) ([]gpu.Device, error) {
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.UseNumber()
	var top section
	if err := dec.Decode(&top); err != nil {
		return nil, smi.Unrecognized(tool, "", "JSON: "+err.Error(), string(out))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, smi.Unrecognized(tool, "", "what follows the JSON", string(out[dec.InputOffset():]))
	}
	driver := top.text("Driver Version")
	list, ok := top["GPU"].([]any)
	if !ok || len(list) > maxDevices {
		return nil, smi.Unrecognized(tool, "", fmt.Sprintf("list GPU of at most %d GPUs, with driver %s", maxDevices, driver), string(out))
	}
	var (
		devices []gpu.Device
		faults  smi.Faults
		seen    = map[string]bool{}
	)
	for i, item := range list {
		object, _ := item.(map[string]any)
		device := readDevice(section(object))
		switch {
		case device.Index == "" || device.Name == "":
			faults.Add(smi.Unrecognized(tool, "", fmt.Sprintf("GPU %d of the list, which needs Index and Product Name", i), fmt.Sprint(item)))
		case seen[device.Index]:
			faults.Add(smi.Unrecognized(tool, "", "Index, which two GPUs have", device.Index))
		default:
			seen[device.Index] = true
			device.Driver = driver
			devices = append(devices, device)
		}
	}
	return devices, faults.Err()
}

func readDevice(s section) gpu.Device {
	d := gpu.Device{
		Identity: gpu.Identity{
			Vendor: vendor, Index: smi.Index(s.text("Index")), Chip: "0", Name: s.text("Product Name"),
			UUID: s.text("GPU UUID"), PCI: smi.Address(s.text("PCI", "Bus ID")), Firmware: s.text("MTBios Version"),
		},
		Utilization: s.quantity("%", "Utilization", "Gpu"),
		Temperature: s.quantity("C", "Temperature", "GPU Current Temp"),
		PowerUsed:   s.quantity("W", "Power Readings", "Power Draw"),
		PowerLimit:  smi.Positive(s.quantity("W", "Power Readings", "Current Power Limit")),
		MemoryTotal: s.quantity("MiB", "FB Memory Usage", "Total"),
		MemoryUsed:  s.quantity("MiB", "FB Memory Usage", "Used"),
	}
	for part, name := range map[string]string{"graphics": "Graphics", "memory": "Memory", "video": "Video"} {
		c := gpu.Clock{Part: part, Now: s.quantity("MHz", "Clocks", name), Max: smi.Positive(s.quantity("MHz", "Max Clocks", name))}
		if c.Now != (gpu.Value{}) || c.Max != (gpu.Value{}) {
			d.Clocks = append(d.Clocks, c)
		}
	}
	slices.SortFunc(d.Clocks, func(a, b gpu.Clock) int { return strings.Compare(a.Part, b.Part) })

	speeds := s.section("Fan", "Speed")
	for _, name := range slices.Sorted(maps.Keys(speeds)) {
		number, isFan := strings.CutPrefix(strings.TrimSpace(name), "Fan")
		if v := speeds.quantity("%", name); isFan && smi.Index(number) != "" && v != (gpu.Value{}) {
			d.Fans = append(d.Fans, gpu.Fan{Name: number, Speed: v})
		}
	}

	link := s.section("PCI", "GPU Link Info")
	d.PCIe.Generation = smi.Positive(smi.Number(link.text("PCIe Generation", "Current")))
	d.PCIe.GenerationMax = smi.Positive(smi.Number(link.text("PCIe Generation", "Max")))
	d.PCIe.Width = smi.Lanes(link.text("Link Width", "Current"))
	d.PCIe.WidthMax = smi.Lanes(link.text("Link Width", "Max"))

	for _, cause := range [...][2]string{{gpu.Corrected, "Single Bit ECC"}, {gpu.Uncorrected, "Double Bit ECC"}} {
		if n, ok := smi.Count(s.text("Retired Pages", cause[1])).Get(); ok {
			d.Remapped = append(d.Remapped, gpu.Remapped{Cause: cause[0], Count: n})
		}
	}
	switch s.text("Retired Pages", "Pending Page Blacklist") {
	case "Yes":
		d.RowRemapPending = gpu.Known(1)
	case "No":
		d.RowRemapPending = gpu.Known(0)
	}
	return d
}

// get finds a value by its path. Some versions print keys with a blank at their end.
func (s section) get(path ...string) any {
	var at any = map[string]any(s)
	for _, key := range path {
		object, _ := at.(map[string]any)
		value, ok := object[key]
		if !ok {
			value = object[key+" "]
		}
		at = value
	}
	return at
}

func (s section) section(path ...string) section {
	object, _ := s.get(path...).(map[string]any)
	return object
}

// text returns a value, or "" for one that is not offered.
func (s section) text(path ...string) string {
	switch v := s.get(path...).(type) {
	case string:
		return smi.Text(v)
	case json.Number:
		return v.String()
	}
	return ""
}

func (s section) quantity(unit string, path ...string) gpu.Value {
	return smi.WithUnit(s.text(path...), unit)
}
