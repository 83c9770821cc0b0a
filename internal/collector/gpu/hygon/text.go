package hygon

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

// driverVersion finds "Driver Version: 6.3.31".
func driverVersion(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "Driver Version:"); ok {
			return smi.Text(strings.TrimSpace(version))
		}
	}
	return ""
}

// parseCaps reads the power limits from the table that hy-smi prints without options: a header line of words and a line for
// each DCU, no cell of which has a space.
func parseCaps(out []byte) (map[string]gpu.Value, error) {
	var header []string
	caps := map[string]gpu.Value{}
	at := -1
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		switch {
		case header == nil:
			if len(words) > 2 && slices.Contains([]string{"HCU", "DCU", "GPU"}, words[0]) {
				header, at = words, slices.Index(words, "PwrCap")
			}
		case len(words) == len(header) && strings.Trim(words[0], "0123456789") == "":
			if at >= 0 && len(caps) < maxDevices {
				caps[words[0]] = smi.Quantity(words[at], "W")
			}
		case len(words) > 1 && !strings.HasPrefix(words[0], "="):
			return caps, smi.Unrecognized(tool, "", "a row of its table with "+strconv.Itoa(len(header))+" columns", strings.TrimSpace(line))
		}
	}
	if at < 0 {
		return nil, smi.Unrecognized(tool, "", "its table with a column PwrCap", strings.Join(header, " "))
	}
	return caps, nil
}

// process is a process with the DCUs that it is on.
type process struct {
	pid            int
	indexes, buses []string
	memory         gpu.Value
}

// maxProcesses bounds the processes of one output.
const maxProcesses = 4096

var (
	pidLine = regexp.MustCompile(`^PID: (\d{1,10})$`)
	quoted  = regexp.MustCompile(`\['([^']*)'\]`)
)

// parseProcesses reads `hy-smi --showpids`: a block "PID: n" with fields for each process. known is false where hy-smi says
// that it cannot see the processes.
func parseProcesses(out []byte) (list []process, known bool, err error) {
	var begun, open bool
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		key, value, isField := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(line, "No KFD PIDs"), line == "PIDs for KFD processes:":
			begun = true
		case strings.HasPrefix(line, "Unable to"):
			return nil, false, nil
		case !begun, !isField:
			open = open && line != ""
			if begun && !isField && strings.Trim(line, "0123456789 ") == "" && line != "" { // the older form: numbers alone
				return nil, false, smi.Unrecognized(tool, "", "processes with their DCUs", line)
			}
		case key == "PID":
			m := pidLine.FindStringSubmatch(line)
			if m == nil || len(list) == maxProcesses {
				return nil, false, smi.Unrecognized(tool, "", "the number of a process", line)
			}
			pid, fault := strconv.ParseUint(m[1], 10, 31)
			if fault != nil || pid == 0 {
				return nil, false, smi.Unrecognized(tool, "", "the number of a process", line)
			}
			list = append(list, process{pid: int(pid)})
			open = true
		case !open:
		case key == "HCU Index", key == "DCU Index", key == "GPU Index":
			list[len(list)-1].indexes = items(value)
		case key == "PCI BUS":
			list[len(list)-1].buses = items(value)
		case key == "VRAM USED(MiB)":
			list[len(list)-1].memory = smi.Quantity(value, "MiB")
		}
	}
	if !begun {
		return nil, false, smi.Unrecognized(tool, "", "a list of processes", strings.TrimSpace(string(out)))
	}
	return list, true, nil
}

// items are the a and b of "['a'] ['b']".
func items(s string) (list []string) {
	for _, m := range quoted.FindAllStringSubmatch(s, maxDevices) {
		list = append(list, strings.ToLower(m[1]))
	}
	return list
}

// places are the positions of a process's DCUs: by their PCI addresses if hy-smi tells them, else by their indexes. A DCU
// that is not among the devices makes them unknown.
func (p *process) places(devices []gpu.Device) (list []int) {
	names, name := p.indexes, func(d gpu.Device) string { return d.Index }
	if len(p.buses) > 0 && !slices.ContainsFunc(devices, func(d gpu.Device) bool { return d.PCI == "" }) {
		names, name = p.buses, func(d gpu.Device) string { return d.PCI }
	}
	for _, n := range names {
		i := slices.IndexFunc(devices, func(d gpu.Device) bool { return name(d) == n })
		if i < 0 {
			return nil
		}
		if !slices.Contains(list, i) {
			list = append(list, i)
		}
	}
	return list
}
