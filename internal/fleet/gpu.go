package fleet

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of what workers say about GPUs.
const (
	MaxGPUs         = 256 // of a worker
	MaxGPUName      = 128
	MaxGPUReason    = 256
	MaxGPUIndex     = 1 << 16
	MaxGPUInstances = 64      // that hold memory of one GPU
	maxGPUMemory    = 1 << 50 // bytes
)

// GPUState says whether a GPU can be used.
type GPUState string

// States of a GPU.
const (
	GPUPresent     GPUState = "present"
	GPUMissing     GPUState = "missing"     // it is expected and cannot be read
	GPUUnreachable GPUState = "unreachable" // its worker does not report
)

// ReportedGPU is one GPU, or one chip of a board with several, as its worker sees it. What changes with every reading is not part of it.
type ReportedGPU struct {
	Vendor         string
	Index          int // as the vendor's own tool shows it
	Chip           int // on its board; 0 on boards with one chip
	Name           string
	UUID           string
	PCI            string // domain:bus:device.function
	MemoryTotal    int64  // bytes; 0: not known
	Driver         string // version
	Firmware       string // version
	State          GPUState
	StateMessage   string // why it is missing
	Action         string // recommended; empty: none
	ActionReason   string
	Instances      string // names of the instances whose processes use it, one a line, sorted
	InstancesKnown bool   // else the driver does not list processes
}

// InstanceNames returns the names in Instances.
func (g *ReportedGPU) InstanceNames() []string {
	if g.Instances == "" {
		return nil
	}
	return strings.Split(g.Instances, "\n")
}

// GPUHolder is an instance whose processes use a GPU.
type GPUHolder struct {
	ID   int64
	Name string
}

// GPU is a GPU of the inventory.
type GPU struct {
	ReportedGPU
	// ID is WORKER:VENDOR:INDEX with the worker's id, and :CHIP of boards with several chips.
	ID         string
	WorkerID   int64
	WorkerName string
	ClusterID  int64
	Holders    []GPUHolder
}

// GPUIDs returns the ids of a worker's GPUs. A missing GPU whose place another one has by now gets its UUID or address, too.
func GPUIDs(workerID int64, gpus []ReportedGPU) []string {
	ids := make([]string, len(gpus))
	taken := make(map[string]bool, len(gpus))
	for _, missing := range []bool{false, true} {
		for i := range gpus {
			g := &gpus[i]
			if (g.State == GPUMissing) != missing {
				continue
			}
			id := fmt.Sprintf("%d:%s:%d", workerID, g.Vendor, g.Index)
			if g.Chip != 0 {
				id += fmt.Sprintf(":%d", g.Chip)
			}
			for _, more := range []string{g.UUID, g.PCI} {
				if taken[id] && more != "" {
					id += ":" + more
				}
			}
			for n := 2; taken[id]; n++ {
				id = fmt.Sprintf("%d:%s:%d:%d#%d", workerID, g.Vendor, g.Index, g.Chip, n)
			}
			ids[i], taken[id] = id, true
		}
	}
	return ids
}

// CheckGPU brings g into normal form and returns the first rule that it breaks.
func CheckGPU(g *ReportedGPU) *Fault {
	for _, f := range []struct {
		name     string
		value    *string
		min, max int
	}{
		{"vendor", &g.Vendor, 1, MaxKind},
		{"name", &g.Name, 0, MaxGPUName},
		{"uuid", &g.UUID, 0, MaxGPUName},
		{"pci_address", &g.PCI, 0, MaxGPUName},
		{"driver_version", &g.Driver, 0, MaxVersion},
		{"firmware_version", &g.Firmware, 0, MaxVersion},
		{"recommended_action", &g.Action, 0, MaxKind},
	} {
		if utf8.ValidString(*f.value) {
			*f.value = Spelled(*f.value, f.max)
		}
		if fault := textFault(*f.value, f.min, f.max); fault != "" {
			return &Fault{f.name, fault}
		}
	}
	g.StateMessage, g.ActionReason = gpuReason(g.StateMessage), gpuReason(g.ActionReason)
	switch {
	case strings.Contains(g.Vendor, ":"):
		return &Fault{"vendor", fmt.Sprintf("is %s; it must not have a colon, which separates the parts of a GPU's id", shown(g.Vendor))}
	case g.Index < 0 || g.Index > MaxGPUIndex:
		return &Fault{"index", fmt.Sprintf("is %d; it must be 0 to %d", g.Index, MaxGPUIndex)}
	case g.Chip < 0 || g.Chip > MaxGPUIndex:
		return &Fault{"chip_index", fmt.Sprintf("is %d; it must be 0 to %d", g.Chip, MaxGPUIndex)}
	case g.MemoryTotal < 0 || g.MemoryTotal > maxGPUMemory:
		return &Fault{"memory_total", fmt.Sprintf("is %d; it must be 0 to %d bytes", g.MemoryTotal, int64(maxGPUMemory))}
	case g.State != GPUPresent && g.State != GPUMissing:
		return &Fault{"state", fmt.Sprintf("is %s; it must be %s or %s", shown(string(g.State)), GPUPresent, GPUMissing)}
	}
	names := g.InstanceNames()
	if len(names) > MaxGPUInstances {
		return &Fault{"instances", fmt.Sprintf("are %d; at most %d are allowed", len(names), MaxGPUInstances)}
	}
	for _, name := range names {
		if fault := textFault(name, 1, MaxName); fault != "" {
			return &Fault{"instances", fault}
		}
	}
	slices.Sort(names)
	g.Instances = strings.Join(slices.Compact(names), "\n")
	g.InstancesKnown = g.InstancesKnown || len(names) > 0
	return nil
}

func gpuReason(s string) string {
	return Cut(Visible(strings.Join(strings.Fields(strings.ToValidUTF8(s, string(utf8.RuneError))), " ")), MaxGPUReason)
}

// CheckGPUs returns the GPUs of a report in normal form, or the first rule that they break. Nil stays nil.
func CheckGPUs(gpus []ReportedGPU) ([]ReportedGPU, error) {
	const what = "report"
	if len(gpus) > MaxGPUs {
		return nil, Invalid(what, "it has %d GPUs; at most %d are allowed on a worker", len(gpus), MaxGPUs)
	}
	gpus = slices.Clone(gpus)
	for k := range gpus {
		if fault := CheckGPU(&gpus[k]); fault != nil {
			return nil, Invalid(what, "gpus[%d]: %s", k, fault)
		}
	}
	return gpus, nil
}
