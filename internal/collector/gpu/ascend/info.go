package ascend

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	maxChips     = 256
	maxProcesses = 4096
)

// chip is a chip as the table shows it.
type chip struct {
	npu, id string // NPU ID, chip ID on its NPU
	device  gpu.Device
}

// info is what `npu-smi info` prints.
type info struct {
	tool, driver string // versions
	chips        []chip
	processes    map[string][]gpu.Process // by place; an NPU's place without a chip: told that there are none
}

// place names a chip, or an NPU if id is "".
func place(npu, id string) string { return npu + "/" + id }

func (in *info) processesOf(c *chip) (processes []gpu.Process, known bool) {
	if processes = in.processes[place(c.npu, c.id)]; processes != nil {
		return processes, true
	}
	for at := range in.processes { // some chip of the NPU has processes, or the tool says that none has
		if npu, _, _ := strings.Cut(at, "/"); npu == c.npu {
			return nil, true
		}
	}
	return nil, false
}

// The table's columns by their header, as npu-smi 22 to 26 print them for 310, 310P, 910A, 910B, 910C and 950. An NPU is two
// rows under two header rows.
const (
	pair   = `[^\s/]+ ?/ ?[^\s/]+`
	health = `^(?P<health>OK|Warning|Alarm|Critical|UNKNOWN)$`
)

var layout = smi.Layout{
	"NPU Name":                               regexp.MustCompile(`^(?P<npu>\d+) (?P<name>.+)$`),
	"NPU ID":                                 regexp.MustCompile(`^(?P<npu>\d+)$`),
	"Name":                                   regexp.MustCompile(`^(?P<name>.+)$`),
	"Health":                                 regexp.MustCompile(health),
	"Power(W) Temp(C) Hugepages-Usage(page)": regexp.MustCompile(`^(?P<power>\S+) (?P<temperature>\S+) ` + pair + `$`),

	"Chip":                       regexp.MustCompile(`^(?P<chip>\d+)$`),
	"Chip Device":                regexp.MustCompile(`^(?P<chip>\d+) \S+$`),
	"Chip Phy-ID":                regexp.MustCompile(`^(?P<chip>\d+) \S+$`),
	"":                           regexp.MustCompile(`^$`),
	"Bus-Id":                     regexp.MustCompile(`^(?P<bus>NA|[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])$`),
	"AICore(%) Memory-Usage(MB)": regexp.MustCompile(`^(?P<use>\S+) (?P<memory>` + pair + `)$`),
	"AICore(%) Memory-Usage(MB) HBM-Usage(MB)":   regexp.MustCompile(`^(?P<use>\S+) (?P<memory>` + pair + `) (?P<hbm>` + pair + `)$`),
	"NPU Util(%) Memory-Usage(MB) HBM-Usage(MB)": regexp.MustCompile(`^(?P<use>\S+) (?P<memory>` + pair + `) (?P<hbm>` + pair + `)$`),

	"NPU Chip":                regexp.MustCompile(`^(?P<npu>\d+) (?P<chip>\d+)$`),
	"Process id":              regexp.MustCompile(`^(?P<pid>\d+)$`),
	"Process name":            regexp.MustCompile(`^`),
	"Process memory(MB)":      regexp.MustCompile(`^(?P<memory>\S+)$`),
	"Process id in container": regexp.MustCompile(`^`),
}

var (
	banner = regexp.MustCompile(`^npu-smi (\S+) Version: ?(\S+)$`)
	idle   = regexp.MustCompile(`^No running processes found in NPU (\d+)$`)
)

// reader reads the output line by line.
type reader struct {
	info
	faults  smi.Faults
	columns [2]smi.Columns // of an NPU's first and second row
	process smi.Columns
	open    map[string]string // an NPU's first row, while its second is awaited
	line    int
	count   int // processes
}

// parseInfo reads the output of `npu-smi info`. What is wrong with a part of it stands in the error, beside the rest.
func parseInfo(out []byte) (info, error) {
	r := reader{info: info{processes: map[string][]gpu.Process{}}}
	for line := range strings.Lines(string(out)) {
		r.line++
		if cells, ok := smi.Cells(line); ok {
			r.row(cells)
		}
	}
	if r.open != nil {
		r.fault("an NPU's second row", "the end")
	}
	var form error
	switch {
	case r.tool == "":
		form = smi.Unrecognized(tool, "", "its first row with the version", start(out))
		r.chips = nil
	case r.columns[1] == nil:
		form = smi.Unrecognized(tool, r.tool, "the table's two header rows", start(out))
	}
	return r.info, smi.Join(form, r.faults.Err())
}

// start is the beginning of an output, without the lines that are drawn.
func start(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); strings.Trim(line, "+-=") != "" {
			return line
		}
	}
	return ""
}

func (r *reader) fault(wanted, got string) {
	r.faults.Add(smi.Unrecognized(tool, r.tool, fmt.Sprintf("line %d, %s", r.line, wanted), got))
}

func (r *reader) row(cells []string) {
	text := strings.Join(cells, " | ")
	switch {
	case r.tool == "" && len(cells) == 1:
		if m := banner.FindStringSubmatch(cells[0]); m != nil {
			r.tool, r.driver = m[1], m[2]
		}
	case r.process == nil && strings.Contains(text, "Process"):
		if r.process = r.header(cells, "pid", "memory"); r.process == nil {
			r.fault("the header of the processes", text)
			r.process = smi.Columns{} // that no row fits
		}
	case strings.Contains(text, "Temp(C)"):
		r.columns[0] = r.header(cells, "npu", "name", "health")
	case strings.Contains(text, "Bus-Id") && r.columns[0] != nil:
		r.columns[1] = r.header(cells, "bus")
	case r.process != nil:
		r.processRow(cells, text)
	case r.columns[1] != nil:
		r.chipRow(cells, text)
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

func (r *reader) chipRow(cells []string, text string) {
	top, isTop := r.columns[0].Fields(cells)
	below, isBelow := r.columns[1].Fields(cells)
	switch {
	case isTop && !isBelow:
		if r.open != nil {
			r.fault("an NPU's second row", text)
		}
		r.open = top
	case isBelow && !isTop && r.open != nil:
		top, r.open = r.open, nil
		r.addChip(top, below)
	default:
		r.open = nil
		r.fault("a row of an NPU", text)
	}
}

func (r *reader) addChip(top, below map[string]string) {
	if len(r.chips) == maxChips {
		r.fault(fmt.Sprintf("NPU %d of at most %d", maxChips+1, maxChips), top["npu"])
		return
	}
	c := chip{npu: top["npu"], id: below["chip"]}
	if c.id == "" {
		c.id = "0" // tables without a column for it are of NPUs with one chip
	}
	d := &c.device
	d.Identity = gpu.Identity{Vendor: vendor, Index: c.npu, Chip: c.id, Name: name(top["name"])}
	if bus := below["bus"]; bus != "NA" {
		d.PCI = strings.ToLower(bus)
	}
	switch top["health"] {
	case "UNKNOWN": // not there or not started, says the manual: its numbers are not of now
		d.Lost = true
		r.chips = append(r.chips, c)
		return
	case "Alarm", "Critical": // major and critical alarms, which alarm the health's error codes tell
		d.Action = gpu.ActionDrain
	default: // a Warning is a minor alarm
		d.Action = gpu.ActionNone
	}
	d.Utilization = smi.Quantity(below["use"], "%")
	d.Temperature = notZero(smi.Quantity(top["temperature"], "C"))
	d.PowerUsed = notZero(smi.Quantity(top["power"], "W"))
	memory, hasHBM := below["hbm"]
	if !hasHBM || strings.HasPrefix(top["name"], "310") { // these have DDR alone, others DDR besides, for their own use
		memory = below["memory"]
	}
	used, total := smi.Pair(memory, "MB")
	if all, _ := total.Get(); all > 0 {
		d.MemoryUsed, d.MemoryTotal = used, total
	}
	r.chips = append(r.chips, c)
}

// notZero drops 0, which npu-smi prints for a temperature or power that it could not read, as in a container with a part of
// an NPU.
func notZero(v gpu.Value) gpu.Value {
	if n, ok := v.Get(); ok && n == 0 {
		return gpu.Value{}
	}
	return v
}

// name is a chip's name with the vendor's in front: the tables write 910B3, 310P3, Ascend910, Ascend950PR.
func name(s string) string {
	if strings.HasPrefix(s, "Ascend") {
		return s
	}
	return "Ascend " + s
}

func (r *reader) processRow(cells []string, text string) {
	if len(cells) == 1 {
		if m := idle.FindStringSubmatch(cells[0]); m != nil {
			r.processes[place(m[1], "")] = []gpu.Process{}
			return
		}
	}
	fields, ok := r.process.Fields(cells)
	pid, err := strconv.ParseUint(fields["pid"], 10, 31)
	if !ok || err != nil || pid == 0 {
		r.fault("a row of a process", smi.RowStart(text))
		return
	}
	if r.count++; r.count > maxProcesses {
		return
	}
	id := fields["chip"]
	if id == "" {
		id = "0"
	}
	at := place(fields["npu"], id)
	r.processes[at] = append(r.processes[at], gpu.Process{PID: int(pid), Memory: smi.Quantity(fields["memory"], "MB")})
}
