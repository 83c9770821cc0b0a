package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
)

// vendor is a vendor and how its GPUs are read.
type vendor struct{ folder, title, by string }

var vendors = []vendor{
	{"nvidia", "NVIDIA", "NVML"},
	{"amd", "AMD", "sysfs, hwmon, KFD"},
	{"ascend", "Ascend", "`npu-smi`"},
	{"intel", "Intel", "sysfs, hwmon, fdinfo"},
	{"hygon", "Hygon", "`hy-smi`"},
	{"metax", "MetaX", "`mx-smi`"},
	{"mthreads", "Moore Threads", "`mthreads-gmi`"},
	{"iluvatar", "Iluvatar", "`ixsmi`"},
	{"cambricon", "Cambricon", "`cnmon`"},
	{"thead", "T-Head", "`ppu-smi`"},
}

// group is a column of the short table.
type group struct {
	title   string
	metrics []catalog.Metric
}

var groups = []group{
	{"busy", []catalog.Metric{catalog.GPUUtilization}},
	{"SM, tensor, DRAM activity", []catalog.Metric{catalog.GPUSMActive, catalog.GPUTensorActive, catalog.GPUDRAMActive}},
	{"memory", []catalog.Metric{catalog.GRAMUsed}},
	{"temperature", []catalog.Metric{catalog.GPUTemperature}},
	{"power", []catalog.Metric{catalog.GPUPowerUsed}},
	{"energy", []catalog.Metric{catalog.GPUEnergy}},
	{"clocks", []catalog.Metric{catalog.GPUClock}},
	{"throttling", []catalog.Metric{catalog.GPUThrottled}},
	{"ECC, rows", []catalog.Metric{catalog.GPUECCErrors, catalog.GPURemappedRows}},
	{"PCIe", []catalog.Metric{catalog.GPUPCIeReplays, catalog.GPUPCIeWidth, catalog.GPUPCIeReceive}},
	{"links", []catalog.Metric{catalog.GPULinkUp, catalog.GPULinkErrors}},
	{"fan", []catalog.Metric{catalog.GPUFanSpeed}},
	{"slices", []catalog.Metric{catalog.GPUSliceInfo}},
}

// processMark begins the lines of a golden page that list processes.
const processMark = "# process "

// recorded is what a vendor's reader exports according to its tests.
type recorded struct {
	metrics   map[string]bool
	processes bool
	cases     []string
}

// record reads the golden pages of a vendor's tests.
func record(folder string) (recorded, error) {
	r := recorded{metrics: map[string]bool{}}
	pages, err := filepath.Glob(filepath.Join("internal", "collector", "gpu", folder, "testdata", "*.golden"))
	if err != nil {
		return r, err
	}
	if len(pages) == 0 {
		return r, fmt.Errorf("%s has no recorded pages", folder)
	}
	slices.Sort(pages)
	for _, page := range pages {
		r.cases = append(r.cases, strings.TrimSuffix(filepath.Base(page), ".golden"))
		text, err := os.ReadFile(page)
		if err != nil {
			return r, err
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, processMark) {
				r.processes = true
			}
			if strings.HasPrefix(line, "#") {
				continue
			}
			name, _, _ := strings.Cut(line, "{")
			r.metrics[name] = true
		}
	}
	return r, nil
}

func vendorTables() (short, full []byte, err error) {
	all := make([]recorded, len(vendors))
	for i, v := range vendors {
		if all[i], err = record(v.folder); err != nil {
			return nil, nil, err
		}
	}
	return shortTable(all), fullTable(all), nil
}

func shortTable(all []recorded) []byte {
	var b bytes.Buffer
	b.WriteString("| GPUs | read by |")
	for _, g := range groups {
		fmt.Fprintf(&b, " %s |", g.title)
	}
	b.WriteString(" processes |\n|---|---|" + strings.Repeat(":-:|", len(groups)+1) + "\n")
	for i, v := range vendors {
		fmt.Fprintf(&b, "| %s | %s |", v.title, v.by)
		for _, g := range groups {
			b.WriteString(cell(slices.ContainsFunc(g.metrics, func(m catalog.Metric) bool { return all[i].metrics[m.WireName()] })))
		}
		b.WriteString(cell(all[i].processes) + "\n")
	}
	return b.Bytes()
}

func fullTable(all []recorded) []byte {
	var b bytes.Buffer
	b.WriteString("| metric |")
	for _, v := range vendors {
		fmt.Fprintf(&b, " %s |", v.title)
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(vendors)) + "\n")
	for _, m := range catalog.GPU {
		if !slices.ContainsFunc(all, func(r recorded) bool { return r.metrics[m.WireName()] }) {
			continue // comes from several readings or from elsewhere
		}
		fmt.Fprintf(&b, "| `%s` |", m.WireName())
		for _, r := range all {
			b.WriteString(cell(r.metrics[m.WireName()]))
		}
		b.WriteString("\n")
	}
	b.WriteString("| memory held by each process |")
	for _, r := range all {
		b.WriteString(cell(r.processes))
	}
	b.WriteString("\n\nRecorded on:\n\n")
	for i, v := range vendors {
		fmt.Fprintf(&b, "- %s: %s ([sources](../internal/collector/gpu/%s/testdata/SOURCES.md))\n", v.title, strings.Join(all[i].cases, ", "), v.folder)
	}
	return b.Bytes()
}

func cell(has bool) string {
	if has {
		return " ● |"
	}
	return "   |"
}

// splice puts text between the marks of a page that name a subject.
func splice(page, subject string, text []byte) error {
	begin, end := "<!-- "+subject+": written by `make gen` -->\n", "<!-- "+subject+" end -->"
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no lines %q and %q", page, strings.TrimSpace(begin), end)
	}
	return os.WriteFile(page, []byte(before+begin+string(text)+end+after), 0o644) //nolint:gosec // a page for everybody
}
