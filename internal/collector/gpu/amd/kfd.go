package amd

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

const (
	kfdNodes     = "sys/class/kfd/kfd/topology/nodes"
	kfdProc      = "sys/class/kfd/kfd/proc"
	maxNodes     = 512
	maxProcesses = 4096
)

// node is a GPU, or a partition of one, as KFD knows it.
type node struct {
	gpuID     string // by which attributes of processes name it
	partition int
	units     int64 // compute units
	memory    int64 // bytes; 0: not told
	uniqueID  uint64
	graphics  uint64 // gfx_target_version: 90402 is gfx942; 0: not told
}

// kfd is the compute part of the driver.
type kfd struct {
	root      *sysfs.Dir
	nodes     map[uint64][]node // by location of the GPU, by partition
	processes map[string][]process
	known     bool // KFD tells processes
	read      time.Time
}

// process is what a process holds of a node.
type process struct {
	pid    int
	memory int64
	units  int64 // compute units that its waves are on; negative: not told
}

// again reads the topology anew and keeps what is known of processes.
func (k *kfd) again(root *sysfs.Dir, devices []sysfs.PCIDevice) *kfd {
	n := &kfd{root: root, nodes: map[uint64][]node{}}
	if k != nil {
		n.processes, n.known, n.read = k.processes, k.known, k.read
	}
	names := root.Names(kfdNodes)
	for _, name := range names[:min(len(names), maxNodes)] {
		n.addNode(kfdNodes + "/" + name)
	}
	n.joinPartitions(devices)
	for _, nodes := range n.nodes {
		slices.SortFunc(nodes, func(a, b node) int {
			return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.gpuID, b.gpuID))
		})
	}
	return n
}

// joinPartitions puts the partitions of a GPU together in which Linux 6.4 to 6.7 tell the partition as the function of the
// GPU's address: nodes at functions where no GPU is.
func (k *kfd) joinPartitions(devices []sysfs.PCIDevice) {
	at := map[uint64]bool{}
	for _, c := range devices {
		at[c.Location] = true
	}
	for location, nodes := range k.nodes {
		const function = 7
		device := location &^ function
		if at[location] || !at[device] {
			continue
		}
		for _, nd := range nodes {
			nd.partition = int(location & function)
			k.nodes[device] = append(k.nodes[device], nd)
		}
		delete(k.nodes, location)
	}
}

// addNode reads a node; processors are nodes too, without a gpu_id.
func (k *kfd) addNode(path string) {
	id := k.root.Text(path + "/gpu_id")
	if n, err := strconv.ParseUint(id, 10, 32); err != nil || n == 0 {
		return
	}
	b, err := k.root.Read(path+"/properties", nil)
	if err != nil {
		return
	}
	p := properties(b)
	location, ok := p["location_id"]
	if !ok {
		return
	}
	nd := node{gpuID: id, partition: int(location >> 28 & 0xf), uniqueID: p["unique_id"], graphics: p["gfx_target_version"]}
	if per := p["simd_per_cu"]; per > 0 && p["simd_count"] <= 1<<20 {
		nd.units = int64(p["simd_count"] / per)
	}
	if b, err := k.root.Read(path+"/mem_banks/0/properties", nil); err == nil {
		nd.memory = int64(properties(b)["size_in_bytes"] & (1<<62 - 1))
	}
	key := p["domain"]<<16 | location&0xffff
	k.nodes[key] = append(k.nodes[key], nd)
}

// properties parses lines of a name and a number.
func properties(b []byte) map[string]uint64 {
	p := map[string]uint64{}
	for line := range bytes.Lines(b) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		if n, err := strconv.ParseUint(value, 10, 64); ok && err == nil {
			p[name] = n
		}
	}
	return p
}

// readProcesses looks which processes hold memory, now and then.
func (k *kfd) readProcesses(r *sysfs.Reader, now time.Time) {
	if len(k.nodes) == 0 || !k.read.IsZero() && now.Sub(k.read) < processesEvery {
		return
	}
	k.read, k.known, k.processes = now, k.root.Has(kfdProc), map[string][]process{}
	var pids []int
	for _, name := range k.root.Names(kfdProc) {
		if pid, err := strconv.Atoi(name); err == nil && pid > 0 && len(pids) < maxProcesses {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	for _, pid := range pids {
		k.addProcess(r, pid, kfdProc+"/"+strconv.Itoa(pid))
	}
}

// addProcess reads what a process holds of each node. One that opened all GPUs and uses one holds nothing of the others.
func (k *kfd) addProcess(r *sysfs.Reader, pid int, path string) {
	dir, err := k.root.Sub(path)
	if err != nil {
		return // it ended
	}
	defer dir.Close()
	number := func(name string) int64 {
		b, err := dir.Read(name, r.Buffer())
		if n, ok := sysfs.ParseInt(b); ok && err == nil {
			return n
		}
		return -1
	}
	for _, nodes := range k.nodes {
		for _, n := range nodes {
			if held := number("vram_" + n.gpuID); held > 0 {
				units := number("stats_" + n.gpuID + "/cu_occupancy")
				k.processes[n.gpuID] = append(k.processes[n.gpuID], process{pid, held, units})
			}
		}
	}
}

// of returns the processes of a GPU; slices are the UUIDs of its partitions.
func (k *kfd) of(nodes []node, slices []gpu.Slice) []gpu.Process {
	var units int64
	n := 0
	for _, nd := range nodes {
		units += nd.units
		n += len(k.processes[nd.gpuID])
	}
	if n == 0 {
		return nil
	}
	list := make([]gpu.Process, 0, n)
	for i, nd := range nodes {
		for _, p := range k.processes[nd.gpuID] {
			g := gpu.Process{PID: p.pid, Memory: gpu.Known(float64(p.memory))}
			if p.units >= 0 && p.units <= nd.units && units > 0 {
				g.Use = gpu.Known(float64(p.units) / float64(units))
			}
			if i < len(slices) {
				g.Slice = slices[i].UUID
			}
			list = append(list, g)
		}
	}
	return list
}
