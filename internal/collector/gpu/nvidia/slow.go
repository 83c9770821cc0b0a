//go:build linux && cgo

package nvidia

import (
	"strconv"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// slowEvery is the pause between two readings of what changes rarely or is dear to ask: the driver measures PCIe throughput
// while the caller waits, 20 ms for each direction.
const slowEvery = 10 * time.Second

// slowValues are such values. They are shared by the readings until the next time and not changed after.
type slowValues struct {
	clocks          []gpu.Clock
	powerLimit      gpu.Value
	ecc             []gpu.ECC
	remapped        []gpu.Remapped
	pending, failed gpu.Value
	pcie            gpu.PCIe
	links           []gpu.Link
	fans            []gpu.Fan
	throttled       []gpu.ThrottleTime
	action          gpu.Action
}

func (s *slowValues) fill(d *gpu.Device) {
	d.Clocks, d.PowerLimit = append(d.Clocks, s.clocks...), s.powerLimit
	d.ECC, d.Remapped, d.RowRemapPending, d.RowRemapFailed = s.ecc, s.remapped, s.pending, s.failed
	d.PCIe, d.Links, d.Fans, d.Throttled, d.Action = s.pcie, s.links, s.fans, s.throttled, s.action
}

func (c *device) readSlow() slowValues {
	s := slowValues{ecc: c.readECC(), links: c.readLinks(), fans: c.readFans(), throttled: c.throttled(), pcie: c.readPCIe()}
	s.clocks = c.readClocks(1, len(clockParts))
	s.powerLimit = over(number(c, askPowerLimit, c.handle.GetEnforcedPowerLimit), 1000)
	s.remapped, s.pending, s.failed = c.readRemapped()
	c.eachField([]field{{id: nvml.FI_DEV_GET_GPU_RECOVERY_ACTION}}, func(_ field, v float64) { s.action = action(v) })
	return s
}

// scheduleSlow spreads the GPUs over the time, so that a reading does not wait for all of them.
func (c *device) scheduleSlow() {
	if c.slowNext.IsZero() {
		index, _ := strconv.Atoi(c.id.Index)
		c.slowNext = c.now.Add(slowEvery - time.Duration(index%int(slowEvery/time.Second))*time.Second)
		return
	}
	c.slowNext = c.now.Add(slowEvery)
}

// action is "" for what is recommended about more than the GPU, and for what a later driver may add.
func action(v float64) gpu.Action {
	switch nvml.DeviceGpuRecoveryAction(v) {
	case nvml.GPU_RECOVERY_ACTION_NONE:
		return gpu.ActionNone
	case nvml.GPU_RECOVERY_ACTION_GPU_RESET, nvml.GPU_RECOVERY_ACTION_BUS_RESET:
		return gpu.ActionReset
	case nvml.GPU_RECOVERY_ACTION_NODE_REBOOT, nvml.GPU_RECOVERY_ACTION_SYSTEM_REBOOT:
		return gpu.ActionReboot
	case nvml.GPU_RECOVERY_ACTION_DRAIN_P2P, nvml.GPU_RECOVERY_ACTION_DRAIN_AND_RESET:
		return gpu.ActionDrain
	}
	return ""
}

// eccPlaces are the parts of a GPU that count memory errors; which of them do depends on its generation.
var eccPlaces = []struct {
	name     string
	location nvml.MemoryLocation
}{
	{"dram", nvml.MEMORY_LOCATION_DRAM},
	{"sram", nvml.MEMORY_LOCATION_SRAM},
	{"l1_cache", nvml.MEMORY_LOCATION_L1_CACHE},
	{"l2_cache", nvml.MEMORY_LOCATION_L2_CACHE},
	{"register_file", nvml.MEMORY_LOCATION_REGISTER_FILE},
	{"texture_memory", nvml.MEMORY_LOCATION_TEXTURE_MEMORY},
	{"texture_shm", nvml.MEMORY_LOCATION_TEXTURE_SHM},
	{"cbu", nvml.MEMORY_LOCATION_CBU},
}

var eccKinds = []struct {
	name  string
	kind  nvml.MemoryErrorType
	cause nvml.PageRetirementCause
}{
	{gpu.Corrected, nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS},
	{gpu.Uncorrected, nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR},
}

// readECC reads the counters since the driver was loaded. The sum stands under location all where the GPU does not tell
// places apart.
func (c *device) readECC() []gpu.ECC {
	var out []gpu.ECC
	for _, place := range eccPlaces {
		for _, kind := range eccKinds {
			v := numberFor(c, key{askECC, int(place.location)<<8 | int(kind.kind)}, func() (uint64, nvml.Return) {
				return c.handle.GetMemoryErrorCounter(kind.kind, nvml.VOLATILE_ECC, place.location)
			})
			if n, ok := v.Get(); ok {
				out = append(out, gpu.ECC{Kind: kind.name, Location: place.name, Count: n})
			}
		}
	}
	if out != nil {
		return out
	}
	for _, kind := range eccKinds {
		v := numberFor(c, key{askTotalECC, int(kind.kind)}, func() (uint64, nvml.Return) {
			return c.handle.GetTotalEccErrors(kind.kind, nvml.VOLATILE_ECC)
		})
		if n, ok := v.Get(); ok {
			out = append(out, gpu.ECC{Kind: kind.name, Location: "all", Count: n})
		}
	}
	return out
}

func yesNo(on bool) gpu.Value {
	if on {
		return gpu.Known(1)
	}
	return gpu.Known(0)
}

// readRemapped reads the rows of memory that were replaced or, of GPUs before Ampere, the pages that were given up.
func (c *device) readRemapped() (remapped []gpu.Remapped, pending, failed gpu.Value) {
	if k := (key{q: askRemapped}); c.may(k) {
		corrected, uncorrected, waits, fails, ret := c.handle.GetRemappedRows()
		if c.judge(k, ret) {
			return []gpu.Remapped{
				{Cause: gpu.Corrected, Count: float64(corrected)},
				{Cause: gpu.Uncorrected, Count: float64(uncorrected)},
			}, yesNo(waits), yesNo(fails)
		}
	}
	for _, kind := range eccKinds {
		pages, ok := askFor(c, key{askRetired, int(kind.cause)}, func() ([]uint64, nvml.Return) { return c.handle.GetRetiredPages(kind.cause) })
		if ok {
			remapped = append(remapped, gpu.Remapped{Cause: kind.name, Count: float64(len(pages))})
		}
	}
	if state, ok := ask(c, askRetiredPending, c.handle.GetRetiredPagesPendingStatus); ok {
		pending = yesNo(state == nvml.FEATURE_ENABLED)
	}
	return remapped, pending, failed
}

func (c *device) readPCIe() gpu.PCIe {
	p := gpu.PCIe{
		Replays:       number(c, askReplays, c.handle.GetPcieReplayCounter),
		Generation:    number(c, askGeneration, c.handle.GetCurrPcieLinkGeneration),
		GenerationMax: number(c, askMaxGeneration, c.handle.GetMaxPcieLinkGeneration),
		Width:         number(c, askWidth, c.handle.GetCurrPcieLinkWidth),
		WidthMax:      number(c, askMaxWidth, c.handle.GetMaxPcieLinkWidth),
	}
	if !c.measuresPCIe() {
		p.Receive = c.throughput(nvml.PCIE_UTIL_RX_BYTES)
		p.Transmit = c.throughput(nvml.PCIE_UTIL_TX_BYTES)
	}
	return p
}

// throughput is in kilobytes per second.
func (c *device) throughput(counter nvml.PcieUtilCounter) gpu.Value {
	return times(numberFor(c, key{askThroughput, int(counter)}, func() (uint32, nvml.Return) { return c.handle.GetPcieThroughput(counter) }), 1000)
}

// maxFans bounds the fans of a GPU.
const maxFans = 16

func (c *device) readFans() []gpu.Fan {
	var out []gpu.Fan
	add := func(i int, percent gpu.Value) {
		if v, ok := percent.Get(); ok {
			// The driver lets fans go beyond what it calls their maximum.
			out = append(out, gpu.Fan{Name: strconv.Itoa(i), Speed: ratio(min(v, 100))})
		}
	}
	count, ok := fact(c, &c.fans, key{q: askFans}, c.handle.GetNumFans).Get()
	if !ok {
		add(0, number(c, askOneFan, c.handle.GetFanSpeed))
		return out
	}
	for i := range min(int(count), maxFans) {
		add(i, numberFor(c, key{askFan, i}, func() (uint32, nvml.Return) { return c.handle.GetFanSpeed_v2(i) }))
	}
	return out
}
