package metax

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
	maxDevices   = 256
	maxProcesses = 4096
)

// The table's columns by their header, as mx-smi 2.1.6 to 2.3.1 print them. A GPU is two rows under two header rows.
var layout = smi.Layout{
	"GPU NAME":               regexp.MustCompile(`^(?P<index>\d+) (?P<name>.+)$`),
	"GPU NAME Persistence-M": regexp.MustCompile(`^(?P<index>\d+) (?P<name>.+) \S+$`),
	"Board Name":             regexp.MustCompile(`^\d+ (?P<name>.+)$`),
	"GPU Persist-M":          regexp.MustCompile(`^(?P<index>\d+) \S+$`),
	"Bus-id":                 regexp.MustCompile(`^(?P<bus>\S+)$`),
	"GPU-Util":               regexp.MustCompile(`^(?P<use>\S+)$`),
	"GPU-Util sGPU-M":        regexp.MustCompile(`^(?P<use>\S+) (?P<sliced>\S+)$`),

	"Temp Power":              regexp.MustCompile(`^(?P<temperature>\S+) (?P<power>\S+)$`),
	"Temp Pwr:Usage/Cap":      regexp.MustCompile(`^(?P<temperature>\S+) (?P<power>\S+) ?/ ?(?P<cap>\S+)$`),
	"Temp Pwr:Usage/Cap Perf": regexp.MustCompile(`^(?P<temperature>\S+) (?P<power>\S+) ?/ ?(?P<cap>\S+) \S+$`),
	"Pwr:Usage/Cap":           regexp.MustCompile(`^(?P<power>\S+) ?/ ?(?P<cap>\S+)$`),
	"Temp Perf":               regexp.MustCompile(`^(?P<temperature>\S+) \S+$`),
	"Memory-Usage":            regexp.MustCompile(`^(?P<memory>.+)$`),
	"GPU-State":               regexp.MustCompile(`^(?P<state>.*)$`),
	"":                        regexp.MustCompile(`^`),
}

var (
	banner     = regexp.MustCompile(`^MX-SMI (\S+) Kernel Mode Driver Version: ?(\S+)$`)
	versions   = regexp.MustCompile(`^MACA Version: ?\S+ BIOS Version: ?(\S+)$`)
	processRow = regexp.MustCompile(`^(\d{1,4}) (\d{1,10}) (?:.* )?(\S+)$`)
)

// reader reads the output line by line.
type reader struct {
	version, driver, bios string
	devices               []gpu.Device
	faults                smi.Faults
	columns               [2]smi.Columns // of a GPU's first and second row
	open                  map[string]string
	processHeader         string
	processes, told       bool // within the table of processes; it was understood
	count, line           int
}

// parseTable reads what mx-smi prints. What is wrong with a part of it stands in the error, beside the rest.
func parseTable(out []byte) ([]gpu.Device, error) {
	var r reader
	for line := range strings.Lines(string(out)) {
		r.line++
		if cells, ok := smi.Cells(line); ok {
			r.row(cells)
		}
	}
	if r.open != nil {
		r.fault("a GPU's second row", "the end")
	}
	if r.processes && !r.told {
		r.fault("the header of the processes", r.processHeader)
	}
	switch {
	case r.version == "":
		return nil, smi.Unrecognized(tool, "", "a row with its and the driver's version", strings.TrimSpace(string(out)))
	case r.columns[1] == nil:
		return nil, smi.Unrecognized(tool, r.version, "the table's two header rows", strings.TrimSpace(string(out)))
	}
	for i := range r.devices {
		d := &r.devices[i]
		d.Driver, d.ProcessesKnown = r.driver, r.told
		if !slices.ContainsFunc(r.devices, func(other gpu.Device) bool { return other.Name != d.Name }) {
			d.Firmware = r.bios // told once, so not for GPUs of several kinds
		}
	}
	return r.devices, r.faults.Err()
}

func (r *reader) fault(wanted, got string) {
	r.faults.Add(smi.Unrecognized(tool, r.version, fmt.Sprintf("line %d, %s", r.line, wanted), got))
}

func (r *reader) row(cells []string) {
	text := strings.Join(cells, " | ")
	switch {
	case r.version == "":
		if m := banner.FindStringSubmatch(cells[0]); m != nil {
			r.version, r.driver = m[1], m[2]
		}
	case r.columns[0] == nil && versions.MatchString(cells[0]):
		if bios := versions.FindStringSubmatch(cells[0])[1]; bios != "unknown" && bios != "NA" {
			r.bios = bios
		}
	case !r.processes && strings.HasPrefix(cells[0], "Process"):
		r.processes = true
	case r.processes:
		r.process(text)
	case r.columns[0] == nil && strings.Contains(text, "Bus-id"):
		r.columns[0] = r.header(cells, "index", "name", "bus")
	case r.columns[0] != nil && r.columns[1] == nil && strings.Contains(text, "Memory-Usage"):
		r.columns[1] = r.header(cells, "memory")
	case r.columns[1] != nil:
		r.deviceRow(cells, text)
	}
}

// header reads a header row and reports the columns that the layout does not know. It returns nil if a needed group is missing.
func (r *reader) header(cells []string, need ...string) smi.Columns {
	columns, unknown := layout.Columns(cells, need...)
	if len(unknown) > 0 {
		r.fault("the header", strings.Join(unknown, " | "))
	}
	return columns
}

// deviceRow reads one row of a GPU: the first and the second come in turn. A first row is known by the PCI address, which no
// second row has.
func (r *reader) deviceRow(cells []string, text string) {
	if slices.ContainsFunc(cells, func(cell string) bool { return smi.Address(cell) != "" }) {
		if r.open != nil {
			r.fault("a GPU's second row", text)
		}
		r.open = nil
		top, ok := r.columns[0].Fields(cells)
		if !ok || len(r.devices) == maxDevices {
			r.fault("a GPU's first row", text)
			return
		}
		r.open = top
		return
	}
	below, ok := r.columns[1].Fields(cells)
	if !ok || r.open == nil {
		r.open = nil
		r.fault("a row of a GPU", text)
		return
	}
	r.devices = append(r.devices, device(r.open, below))
	r.open = nil
}

func device(top, below map[string]string) gpu.Device {
	d := gpu.Device{Identity: gpu.Identity{Vendor: vendor, Index: top["index"], Chip: "0", Name: name(top["name"]), PCI: smi.Address(top["bus"])}}
	if state := strings.ToLower(below["state"]); strings.HasPrefix(state, "not available") || strings.HasPrefix(state, "unavailable") {
		d.Lost = true // the driver can no longer reach it
		return d
	}
	d.Utilization = smi.Quantity(top["use"], "%")
	d.Temperature = smi.Quantity(below["temperature"], "C")
	d.PowerUsed = smi.Quantity(below["power"], "W")
	d.PowerLimit = smi.Quantity(below["cap"], "W")
	used, total := smi.Pair(below["memory"], "MiB")
	d.MemoryUsed, d.MemoryTotal = used, total
	return d
}

// name is a GPU's name with the vendor's in front: older versions write MXC500, later ones MetaX C500.
func name(s string) string {
	if strings.HasPrefix(s, "MetaX") {
		return s
	}
	return "MetaX " + strings.TrimPrefix(s, "MX")
}

// process reads a row of the table of processes, whose columns stand in one cell: GPU, PID, Process Name, GPU Memory
// Usage(MiB). The name may hold spaces.
func (r *reader) process(text string) {
	if !r.told {
		if len(r.processHeader) < 1000 && strings.TrimLeft(text, "0123456789") == text { // of two lines, and not a row yet
			r.processHeader = strings.TrimSpace(r.processHeader + " " + text)
			r.told = r.processHeader == "GPU PID Process Name GPU Memory Usage(MiB)"
		}
		return
	}
	if text == "no process found" {
		return
	}
	m := processRow.FindStringSubmatch(text)
	if m == nil {
		r.fault("a row of a process", smi.RowStart(text))
		return
	}
	pid, err := strconv.ParseUint(m[2], 10, 31)
	i := slices.IndexFunc(r.devices, func(d gpu.Device) bool { return d.Index == m[1] })
	if err != nil || pid == 0 || i < 0 {
		r.fault("a row of a process", smi.RowStart(text))
		return
	}
	if r.count++; r.count > maxProcesses {
		return
	}
	r.devices[i].Processes = append(r.devices[i].Processes, gpu.Process{PID: int(pid), Memory: smi.Quantity(m[3], "MiB")})
}

var listRow = regexp.MustCompile(`^GPU#\d{1,4}\s.*?\s([0-9A-Fa-f:.]{12,16})\s.*\(UUID: ?([0-9A-Za-z-]{1,64})\)$`)

// parseList reads the UUIDs of `mx-smi -L`, by PCI address: a GPU's index may change when another one is lost. GPUs that are
// not available have none.
func parseList(out []byte) (map[string]string, error) {
	uuids := map[string]string{}
	devices := 0
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "GPU#") {
			continue
		}
		devices++
		if m := listRow.FindStringSubmatch(line); m != nil && len(uuids) < maxDevices {
			if bus := smi.Address(m[1]); bus != "" {
				uuids[bus] = m[2]
			}
		}
	}
	if devices == 0 {
		return nil, smi.Unrecognized(tool+" -L", "", "lines GPU#n", strings.TrimSpace(string(out)))
	}
	return uuids, nil
}
