//go:build linux && cgo

package nvidia

import (
	"math"
	"slices"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// Bits of the reasons that the library names only under their old name.
const (
	reasonHW           = 0x08
	reasonHWThermal    = 0x40
	reasonHWPowerBrake = 0x80
)

var reasons = []struct {
	bit    uint64
	reason gpu.Throttle
}{
	{nvml.ClocksEventReasonSwPowerCap, gpu.ThrottlePowerCap},
	{reasonHWPowerBrake, gpu.ThrottlePowerBrake},
	{nvml.ClocksEventReasonSwThermalSlowdown, gpu.ThrottleThermal},
	{reasonHWThermal, gpu.ThrottleThermalHW},
	{reasonHW, gpu.ThrottleHW},
	{nvml.ClocksEventReasonSyncBoost, gpu.ThrottleSync},
	{nvml.ClocksEventReasonReliability, gpu.ThrottleReliability},
	{nvml.ClocksEventReasonBoardLimit, gpu.ThrottleBoardLimit},
	{nvml.ClocksEventReasonApplicationsClocksSetting, gpu.ThrottleUserClocks},
}

// throttles returns the reasons for the driver's bits. An idle GPU is not throttled.
func throttles(bits uint64) []gpu.Throttle {
	var out []gpu.Throttle
	bits &^= nvml.ClocksEventReasonGpuIdle
	for _, r := range reasons {
		if bits&r.bit != 0 {
			out = append(out, r.reason)
			bits &^= r.bit
		}
	}
	if bits != 0 {
		out = append(out, gpu.ThrottleUnknownReason)
	}
	return out
}

func (c *device) readThrottles(d *gpu.Device) {
	bits, ok := ask(c, askReasons, c.handle.GetCurrentClocksEventReasons)
	if !ok {
		bits, ok = ask(c, askOldReasons, c.handle.GetCurrentClocksThrottleReasons)
	}
	if !ok {
		return
	}
	// Hardware slowdown is set beside its own reasons, so it counts only where neither of them stands.
	if bits&(reasonHWThermal|reasonHWPowerBrake) != 0 {
		bits &^= reasonHW
	}
	d.Throttles, d.ThrottleKnown = throttles(bits), true
	if c.offered == nil {
		bits, ok = ask(c, askSupportedReasons, c.handle.GetSupportedClocksEventReasons)
		if !ok {
			bits, ok = ask(c, askOldSupportedReasons, c.handle.GetSupportedClocksThrottleReasons)
		}
		if ok {
			c.offered = append([]gpu.Throttle{}, throttles(bits)...)
		}
	}
	d.ThrottleReasons = c.offered
}

// throttleFields are the GPU's own counters in nanoseconds.
var throttleFields = []field{
	{id: nvml.FI_DEV_PERF_POLICY_POWER},
	{id: nvml.FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN},
	{id: nvml.FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN},
	{id: nvml.FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN},
	{id: nvml.FI_DEV_PERF_POLICY_SYNC_BOOST},
	{id: nvml.FI_DEV_PERF_POLICY_RELIABILITY},
	{id: nvml.FI_DEV_PERF_POLICY_BOARD_LIMIT},
}

var throttleReasons = []gpu.Throttle{
	gpu.ThrottlePowerCap, gpu.ThrottlePowerBrake, gpu.ThrottleThermal, gpu.ThrottleThermalHW, gpu.ThrottleSync, gpu.ThrottleReliability, gpu.ThrottleBoardLimit,
}

// violations are the same counters in drivers that do not have the fields.
var violations = []struct {
	policy nvml.PerfPolicyType
	reason gpu.Throttle
}{
	{nvml.PERF_POLICY_POWER, gpu.ThrottlePowerCap},
	{nvml.PERF_POLICY_THERMAL, gpu.ThrottleThermal},
	{nvml.PERF_POLICY_SYNC_BOOST, gpu.ThrottleSync},
	{nvml.PERF_POLICY_RELIABILITY, gpu.ThrottleReliability},
	{nvml.PERF_POLICY_BOARD_LIMIT, gpu.ThrottleBoardLimit},
}

// throttled reads the counters. One that fails this time keeps its last value: without it the time would be counted by other
// means and the counter would jump.
func (c *device) throttled() []gpu.ThrottleTime {
	times := map[gpu.Throttle]time.Duration{}
	for _, t := range c.slow.throttled {
		times[t.Reason] = t.Time
	}
	answered := map[gpu.Throttle]bool{}
	set := func(reason gpu.Throttle, ns float64) {
		if ns < math.MaxInt64 {
			times[reason], answered[reason] = time.Duration(ns), true
		}
	}
	c.eachField(throttleFields, func(f field, ns float64) {
		set(throttleReasons[slices.Index(throttleFields, f)], ns)
	})
	for _, v := range violations {
		if answered[v.reason] {
			continue
		}
		if t, ok := askFor(c, key{askViolation, int(v.policy)}, func() (nvml.ViolationTime, nvml.Return) {
			return c.handle.GetViolationStatus(v.policy)
		}); ok && t.ViolationTime != math.MaxUint64 {
			set(v.reason, float64(t.ViolationTime))
		}
	}
	var out []gpu.ThrottleTime
	for _, reason := range throttleReasons {
		if t, ok := times[reason]; ok {
			out = append(out, gpu.ThrottleTime{Reason: reason, Time: t})
		}
	}
	return out
}
