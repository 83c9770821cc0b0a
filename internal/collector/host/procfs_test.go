package host

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"

	"github.com/stackscope/stackscope/internal/catalog"
)

// TestAgreesWithProcfs compares what is read with what github.com/prometheus/procfs reads, which is what node_exporter exports:
// of the fixture value by value, of this machine while nothing changes in between.
func TestAgreesWithProcfs(t *testing.T) {
	skipUnlessLinux(t)
	for _, dir := range []string{root, "/"} {
		t.Run(dir, func(t *testing.T) {
			var ours, theirs map[string]float64
			var differ []string
			for range 20 { // counters of this machine go on
				before := readByProcfs(t, dir)
				ours = readByUs(t, dir)
				theirs = readByProcfs(t, dir)
				if differ = differences(ours, before, theirs); len(differ) == 0 {
					break
				}
			}
			for _, d := range differ {
				t.Error(d)
			}
			if dir == root && len(theirs) < 80 {
				t.Errorf("only %d values were compared", len(theirs))
			}
		})
	}
}

// differences are the values of ours that don't lie between two readings of procfs.
func differences(ours, before, after map[string]float64) (list []string) {
	for key, got := range ours {
		a, had := before[key]
		b, has := after[key]
		if had && has && (got < min(a, b)-1e-9 || got > max(a, b)+1e-9) || had != has || !has {
			list = append(list, fmt.Sprintf("%s: got %v, procfs has %v and then %v", key, got, a, b))
		}
	}
	slices.Sort(list)
	return list
}

func readByUs(t *testing.T, dir string) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	r := newHostFS(dir)
	for _, read := range []readFunc{
		newCPUReader(r).read, r.readMemory, r.readSwap, r.readLoad,
		newPressureReader(r).read, newDiskReader(r).read, newNetworkReader(r).read,
	} {
		samples, err := read(t.Context())
		if err != nil {
			t.Logf("not compared: %v", err)
		}
		for _, s := range samples {
			switch s.metric {
			case &catalog.WorkerNodeMemoryUsed, &catalog.WorkerNodeSwapUsed, &catalog.WorkerNodeLoad1, &catalog.WorkerNodeLoad5, &catalog.WorkerNodeLoad15:
				if dir == "/" {
					continue // they go up and down: ours may lie beside both readings of procfs
				}
			case &catalog.WorkerNodeMemoryUtilization, &catalog.WorkerNodeNetworkUp, &catalog.WorkerNodeNetworkSpeed:
				continue // procfs does not read these from /proc
			}
			values[s.metric.Name+"{"+string(s.labels)+"}"] = s.value
		}
	}
	busy, total, err := newCPUReader(r).times()
	if err != nil {
		t.Fatal(err)
	}
	values["busy ticks{}"], values["ticks{}"] = busy, total
	return values
}

// readByProcfs reads all devices: those that we leave out are not compared.
func readByProcfs(t *testing.T, dir string) map[string]float64 {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	values := map[string]float64{}
	set := func(m *catalog.Metric, labels string, v float64) { values[m.Name+"{"+labels+"}"] = v }

	proc, err := procfs.NewFS(dir + "/proc")
	must(err)
	load, err := proc.LoadAvg()
	must(err)
	set(&catalog.WorkerNodeLoad1, "", load.Load1)
	set(&catalog.WorkerNodeLoad5, "", load.Load5)
	set(&catalog.WorkerNodeLoad15, "", load.Load15)

	memory, err := proc.Meminfo()
	must(err)
	set(&catalog.WorkerNodeMemoryTotal, "", float64(*memory.MemTotalBytes))
	set(&catalog.WorkerNodeMemoryUsed, "", float64(*memory.MemTotalBytes-*memory.MemAvailableBytes))
	set(&catalog.WorkerNodeSwapTotal, "", float64(*memory.SwapTotalBytes))
	set(&catalog.WorkerNodeSwapUsed, "", float64(*memory.SwapTotalBytes-*memory.SwapFreeBytes))

	stat, err := proc.Stat()
	must(err)
	set(&catalog.WorkerNodeCPUCores, "", float64(len(stat.CPU)))
	c := stat.CPUTotal
	busy := c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ + c.Steal
	values["busy ticks{}"], values["ticks{}"] = math.Round(100*busy), math.Round(100*(busy+c.Idle+c.Iowait))

	for _, resource := range []string{"cpu", "memory", "io"} {
		psi, err := proc.PSIStatsForResource(resource)
		if err != nil {
			continue // not every kernel has it
		}
		for share, line := range map[string]*procfs.PSILine{"some": psi.Some, "full": psi.Full} {
			if line != nil {
				set(&catalog.WorkerNodePressure, fmt.Sprintf("resource=%q,share=%q", resource, share), float64(line.Total)/1e6)
			}
		}
	}

	block, err := blockdevice.NewFS(dir+"/proc", dir+"/sys")
	must(err)
	disks, err := block.ProcDiskstats()
	must(err)
	for _, d := range disks {
		device := fmt.Sprintf("device=%q", d.DeviceName)
		set(&catalog.WorkerNodeDiskReadBytes, device, float64(d.ReadSectors)*512)
		set(&catalog.WorkerNodeDiskWrittenBytes, device, float64(d.WriteSectors)*512)
		set(&catalog.WorkerNodeDiskReads, device, float64(d.ReadIOs))
		set(&catalog.WorkerNodeDiskWrites, device, float64(d.WriteIOs))
		set(&catalog.WorkerNodeDiskBusy, device, float64(d.IOsTotalTicks)/1e3)
	}

	first, err := proc.Proc(1)
	must(err)
	network, err := first.NetDev()
	must(err)
	for name, n := range network {
		device := fmt.Sprintf("device=%q", strings.TrimSpace(name))
		set(&catalog.WorkerNodeNetworkReceived, device, float64(n.RxBytes))
		set(&catalog.WorkerNodeNetworkTransmitted, device, float64(n.TxBytes))
		set(&catalog.WorkerNodeNetworkReceiveErrors, device, float64(n.RxErrors))
		set(&catalog.WorkerNodeNetworkTransmitErrors, device, float64(n.TxErrors))
		set(&catalog.WorkerNodeNetworkReceiveDropped, device, float64(n.RxDropped))
		set(&catalog.WorkerNodeNetworkTransmitDropped, device, float64(n.TxDropped))
	}
	return values
}
