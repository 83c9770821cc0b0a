package mthreads

import (
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	// maxProcesses bounds the rows of the table.
	maxProcesses = 4096
	noProcesses  = "No running processes found"
)

// addProcesses reads the table of processes from the overview that mthreads-gmi prints, into the GPUs. The overview of a
// driver that doesn't offer processes has no such table: that is no error.
func addProcesses(devices []gpu.Device, overview []byte) error {
	version, rows, err := processRows(string(overview))
	if err != nil || rows == nil {
		return err
	}
	for i := range devices {
		devices[i].ProcessesKnown = true
	}
	var faults smi.Faults
	for _, row := range rows {
		device, p, ok := readProcess(row)
		at := slices.IndexFunc(devices, func(d gpu.Device) bool { return d.Index == device })
		if !ok || at < 0 {
			faults.Add(smi.Unrecognized(tool, version, "row of the table of processes", smi.RowStart(row)))
			continue
		}
		devices[at].Processes = append(devices[at].Processes, p)
	}
	return faults.Err()
}

// processRows returns the rows between the rules of the table of processes, nil if there is no table.
func processRows(overview string) (version string, rows []string, err error) {
	const (
		before = iota
		title
		header
		body
	)
	state := before
	for line := range strings.Lines(overview) {
		text := strings.TrimSpace(line)
		switch state {
		case before:
			if rest, ok := strings.CutPrefix(text, tool+":"); ok {
				version, _, _ = strings.Cut(rest, " ")
			}
			if text == "Processes:" {
				state = title
			}
		case title:
			if strings.Join(strings.Fields(text), " ") != "ID PID Process name GPU Memory" {
				if strings.TrimLeft(text, "0123456789") != text { // no header at all
					text = smi.RowStart(text)
				}
				return version, nil, smi.Unrecognized(tool, version, "header of the table of processes", text)
			}
			state = header
		case header:
			if strings.HasPrefix(text, "+--") {
				state, rows = body, []string{}
			}
		case body:
			switch {
			case strings.HasPrefix(text, "---"):
				return version, rows, nil
			case text == noProcesses, text == "":
			case len(rows) == maxProcesses:
				return version, nil, smi.Unrecognized(tool, version, "table of processes, after "+strconv.Itoa(maxProcesses)+" rows", smi.RowStart(text))
			default:
				rows = append(rows, text)
			}
		}
	}
	if state == before && version != "" {
		return version, nil, nil
	}
	begin, _, _ := strings.Cut(strings.TrimSpace(overview), "\n")
	return version, nil, smi.Unrecognized(tool, version, "end of the overview", begin)
}

// readProcess reads a row: GPU, PID, command, memory. The command may have blanks in it, or be empty.
func readProcess(row string) (device string, p gpu.Process, ok bool) {
	fields := strings.Fields(row)
	if len(fields) < 3 {
		return "", gpu.Process{}, false
	}
	pid, err := strconv.Atoi(fields[1])
	if err != nil || pid <= 0 {
		return "", gpu.Process{}, false
	}
	memory := fields[len(fields)-1]
	p = gpu.Process{PID: pid, Memory: smi.WithUnit(memory, "MiB")}
	return smi.Index(fields[0]), p, p.Memory != gpu.Value{} || memory == "N/A"
}
