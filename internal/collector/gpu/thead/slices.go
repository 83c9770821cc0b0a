package thead

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

// maxSlices bounds the MIG devices of one machine.
const maxSlices = 4096

var (
	// PPU 0: PPU (UUID: GPU-019ea108-c110-0828-0000-0000c07e1a46)
	listedPPU = regexp.MustCompile(`^PPU ([0-9]{1,4}): .*\(UUID: ([^()\s]+)\)$`)
	//     MIG g1.c1.i1, Device 0 (UUID: MIG-79c62632-04cc-574b-af7b-cb2e307121c85)
	listedSlice = regexp.MustCompile(`^\s+MIG ([^\s,]+), Device ([0-9]{1,4}) \(UUID: ([^()\s]+)\)$`)
)

// place is a MIG device or a GPU instance: its number on the PPU with an index.
type place struct{ device, number string }

// listing is what ppu-smi -L prints.
type listing struct {
	indexes map[string]string // of PPUs by UUID
	devices map[place]gpu.Slice
}

func readList(out []byte) (listing, error) {
	l := listing{indexes: map[string]string{}, devices: map[place]gpu.Slice{}}
	index := ""
	taken := map[string]bool{}
	for _, line := range smi.WholeLines(out) {
		text := strings.TrimRight(line, " ")
		if text == "" {
			continue
		}
		if m := listedPPU.FindStringSubmatch(text); m != nil && !taken[m[1]] && l.indexes[m[2]] == "" {
			index, taken[m[1]], l.indexes[m[2]] = m[1], true, m[1]
		} else if m := listedSlice.FindStringSubmatch(text); m != nil && index != "" && len(l.devices) < maxSlices {
			l.devices[place{index, m[2]}] = gpu.Slice{Name: m[1], UUID: m[3]}
		} else {
			return listing{}, smi.Unrecognized(tool, "", "list of PPUs", text)
		}
	}
	return l, nil
}

// addSlices reads the tables about MIG devices into the PPUs.
func (b *Backend) addSlices(ctx context.Context, ppus []gpu.Device) error {
	out, err := b.Run(ctx)
	if err != nil {
		return err
	}
	rows, err := tableRows(out, "MIG devices:", "PPU GI CI MIG", "Memory-Usage")
	if err != nil {
		return err
	}
	profiles, err := b.profiles(ctx)
	var faults smi.Faults
	faults.Add(err)
	for _, row := range rows {
		f := strings.Fields(row[0])
		if len(f) != 4 || len(row) < 2 || strings.Trim(strings.Join(f, ""), "0123456789") != "" {
			faults.Add(smi.Unrecognized(tool, "", "row of the table of MIG devices", strings.Join(row, "|")))
			continue
		}
		at := slices.IndexFunc(ppus, func(d gpu.Device) bool { return d.Index == f[0] })
		if at < 0 {
			continue // its PPU could not be read
		}
		s := b.list.devices[place{f[0], f[3]}]
		if s.Name == "" {
			s.Name = f[3]
		}
		s.GPUInstance, s.ComputeInstance, s.Profile = f[1], f[2], profiles[place{f[0], f[1]}]
		used, total, _ := strings.Cut(row[1], "/")
		s.MemoryUsed, s.MemoryTotal = smi.WithUnit(used, "MiB"), smi.WithUnit(total, "MiB")
		ppus[at].Slices = append(ppus[at].Slices, s)
	}
	return faults.Err()
}

// nameSlices gives the processes the UUIDs of their slices. The query names the compute instance alone, which more than one
// GPU instance can have.
func nameSlices(d *gpu.Device) {
	for i := range d.Processes {
		p := &d.Processes[i]
		fits := slices.DeleteFunc(slices.Clone(d.Slices), func(s gpu.Slice) bool { return s.ComputeInstance != p.Slice })
		p.Slice = ""
		if len(fits) == 1 {
			p.Slice = fits[0].UUID
		}
	}
}

// profiles returns the profiles of the GPU instances.
func (b *Backend) profiles(ctx context.Context) (map[place]string, error) {
	out, err := b.Run(ctx, "mig", "-lgi")
	if err != nil {
		return nil, err
	}
	rows, err := tableRows(out, "GPU instances:", "PPU Name Profile Instance Placement")
	if err != nil {
		return nil, err
	}
	profiles := map[place]string{}
	for _, row := range rows {
		// 1    MIG 2g12gb              1        0         0:2
		f := strings.Fields(row[0])
		if len(f) != 6 || f[1] != "MIG" || strings.Trim(f[0]+f[3]+f[4], "0123456789") != "" {
			return profiles, smi.Unrecognized(tool, "", "row of the table of GPU instances", row[0])
		}
		profiles[place{f[0], f[4]}] = f[2]
	}
	return profiles, nil
}

// tableRows returns the rows of the table with a title, cut into cells. The first cells of its header must be as given, but
// for blanks. A machine whose table is not there has no rows.
func tableRows(out []byte, title string, header ...string) ([][]string, error) {
	var (
		rows               [][]string
		titled, headed, in bool
	)
	for _, line := range smi.WholeLines(out) {
		line = strings.TrimSpace(line)
		cells := strings.Split(strings.Trim(line, "|"), "|")
		switch {
		case !titled:
			titled = strings.TrimSpace(cells[0]) == title
		case strings.HasPrefix(line, "+=") && headed:
			in = true
		case strings.HasPrefix(line, "+"):
		case !headed:
			for i, want := range header {
				if i >= len(cells) || strings.Join(strings.Fields(cells[i]), " ") != want {
					return nil, smi.Unrecognized(tool, "", "header of the table "+title, line)
				}
			}
			headed = true
		case !in: // further lines of the header
		case !strings.HasPrefix(line, "|"):
			return rows, nil
		case len(rows) == maxSlices:
			return nil, smi.Unrecognized(tool, "", "table "+title+", after "+strconv.Itoa(maxSlices)+" rows", line)
		default:
			rows = append(rows, cells)
		}
	}
	if titled && !in {
		return nil, smi.Unrecognized(tool, "", "end of the table "+title, "")
	}
	return rows, nil
}
