package amd

import (
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// reasons is a set of reasons, a bit for each of reasonNames.
type reasons uint8

const (
	powerCap reasons = 1 << iota
	current
	thermal
	thermalHW
	slowdown
	reliability
	other
)

var reasonNames = [...]gpu.Throttle{
	gpu.ThrottlePowerCap, gpu.ThrottleCurrent, gpu.ThrottleThermal, gpu.ThrottleThermalHW, gpu.ThrottleHW, gpu.ThrottleReliability,
	gpu.ThrottleUnknownReason,
}

func (r reasons) list() []gpu.Throttle {
	var list []gpu.Throttle
	for i, name := range reasonNames {
		if r&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}

// throttleIndependent reads indep_throttle_status, whose bits are SMU_THROTTLER_* of the kernel's amdgpu_smu.h: 16 for limits of
// power, of current, of temperature, and the rest.
func (m *metrics) throttleIndependent(bits uint64, ok bool) {
	m.throttleKnown = ok
	if !ok {
		return
	}
	m.tellable = powerCap | current | thermal // what all GPUs with these bits have
	for _, g := range []struct {
		low, high int
		reason    reasons
	}{
		{0, 15, powerCap},
		{16, 31, current},
		{32, 43, thermal},
		{44, 45, thermalHW}, // voltage regulators
		{46, 47, slowdown},  // PROCHOT, by whom ever
		{48, 56, other},
		{57, 57, reliability}, // FIT
		{58, 63, other},
	} {
		if bits>>g.low&(1<<(g.high-g.low+1)-1) != 0 {
			m.throttles |= g.reason
		}
	}
}

// throttleMI300 reads throttle_status of the MI300 series: THROTTLER_* of smu_v13_0_6_pmfw.h.
func (m *metrics) throttleMI300(bits uint64, ok bool) {
	m.throttleKnown = ok
	if !ok {
		return
	}
	for i, reason := range residencyReasons {
		m.tellable |= reason
		if bits&(1<<i) != 0 {
			m.throttles |= reason
		}
	}
	if bits>>len(residencyReasons) != 0 {
		m.throttles |= other
	}
}

// residencyReasons are the limits of the MI300 series in the order of its firmware: PROCHOT, package power, socket, voltage
// regulators, HBM.
var residencyReasons = [...]reasons{slowdown, powerCap, thermal, thermalHW, thermal}

// count is a counter of 32 bits that may not be known.
type count struct {
	n  uint32
	ok bool
}

func (c *count) set(n uint64, ok bool) { *c = count{uint32(n), ok} }

// residency are the firmware's counters since revision 1.6: cycles, and for each of residencyReasons the cycles in which it
// held the GPU back.
type residency struct {
	cycles [1 + len(residencyReasons)]count
}

// history is what is known of a GPU from reading to reading.
type history struct {
	clock     uint64
	residency residency
	throttled [len(reasonNames)]time.Duration
	reported  reasons // those of which the GPU counts the time
	now       reasons
	second    bool
}

// maxGap is the longest time between two readings for which the throttled time is still added up.
const maxGap = 10 * time.Minute

// follow adds the time for which the GPU was throttled since the last reading: the share of throttled cycles, as the firmware counts
// them, times the time between the two readings of the driver. Of two limits with the same reason the longer one counts, because
// they overlap.
func (h *history) follow(m *metrics) {
	last, lastClock := h.residency, h.clock
	h.residency, h.clock = m.residency, m.clock
	h.now = 0
	for i, c := range m.residency.cycles[1:] {
		if c.ok {
			h.reported |= residencyReasons[i]
		}
	}
	cycles, ok := advance(last.cycles[0], m.residency.cycles[0])
	h.second = ok
	if !ok || cycles == 0 || lastClock == 0 || m.clock <= lastClock {
		return
	}
	gap := time.Duration(m.clock - lastClock)
	if gap > maxGap || gap < 0 {
		return
	}
	var longest [len(reasonNames)]float64
	for i, reason := range residencyReasons {
		held, ok := advance(last.cycles[i+1], m.residency.cycles[i+1])
		if !ok || held == 0 || held > cycles {
			continue
		}
		h.now |= reason
		at := reason.position()
		longest[at] = max(longest[at], float64(held)/float64(cycles))
	}
	for i, share := range longest {
		h.throttled[i] += time.Duration(share * float64(gap))
	}
}

// advance is how far a counter got. One that went back began anew, or turned over: nobody knows how far.
func advance(from, to count) (uint32, bool) {
	if !from.ok || !to.ok || to.n < from.n {
		return 0, false
	}
	return to.n - from.n, true
}

func (r reasons) position() int {
	for i := range reasonNames {
		if r == 1<<i {
			return i
		}
	}
	return 0
}

// times are the counters, of the reasons that the GPU counts.
func (h *history) times() []gpu.ThrottleTime {
	var list []gpu.ThrottleTime
	for i, name := range reasonNames {
		if h.reported&(1<<i) != 0 {
			list = append(list, gpu.ThrottleTime{Reason: name, Time: h.throttled[i]})
		}
	}
	return list
}
