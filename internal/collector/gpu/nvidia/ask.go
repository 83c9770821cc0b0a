//go:build linux && cgo

package nvidia

import (
	"fmt"
	"math"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// askAgain is the pause after which a question is asked again that the driver has said not to answer: what a GPU offers
// changes with its modes (MIG, ECC) and with this program's rights.
const askAgain = 5 * time.Minute

// question is a function of the library. Questions up to lastChief are missed when a GPU does not answer them for another
// reason than that it does not offer the value.
type question int

const (
	askName question = iota
	askMemory
	askMemory2
	askUtilization
	askPower
	askTemperature
	lastChief = askTemperature

	askPCI question = iota - 1
	askVBIOS
	askCores
	askPowerLimit
	askEnergy
	askClock
	askMaxClock
	askReasons
	askOldReasons
	askSupportedReasons
	askOldSupportedReasons
	askFields
	askViolation
	askECC
	askTotalECC
	askRemapped
	askRetired
	askRetiredPending
	askReplays
	askGeneration
	askMaxGeneration
	askWidth
	askMaxWidth
	askThroughput
	askFans
	askFan
	askOneFan
	askLinkState
	askLinkErrors
	askCompute
	askGraphics
	askProcessUse
	askMIG
	askMIGCount
	askMIGDevice
	askMIGAttributes
	askSliceFact
	askVGPUs
	askVGPU
	askGPM
	askGPMSample
	askGPMSliceSample
	askGPMMetrics
	questions
)

// symbols are the C functions behind the questions. A function that the installed library does not have must not be called:
// the dynamic linker would end the program. Where there are several versions of a function the bindings choose one themselves.
var symbols = [questions]string{
	askName: "nvmlDeviceGetName", askMemory: "nvmlDeviceGetMemoryInfo", askMemory2: "nvmlDeviceGetMemoryInfo_v2",
	askUtilization: "nvmlDeviceGetUtilizationRates", askPower: "nvmlDeviceGetPowerUsage", askTemperature: "nvmlDeviceGetTemperature",
	askVBIOS: "nvmlDeviceGetVbiosVersion", askCores: "nvmlDeviceGetNumGpuCores",
	askPowerLimit: "nvmlDeviceGetEnforcedPowerLimit", askEnergy: "nvmlDeviceGetTotalEnergyConsumption",
	askClock: "nvmlDeviceGetClockInfo", askMaxClock: "nvmlDeviceGetMaxClockInfo",
	askReasons: "nvmlDeviceGetCurrentClocksEventReasons", askOldReasons: "nvmlDeviceGetCurrentClocksThrottleReasons",
	askSupportedReasons: "nvmlDeviceGetSupportedClocksEventReasons", askOldSupportedReasons: "nvmlDeviceGetSupportedClocksThrottleReasons",
	askFields: "nvmlDeviceGetFieldValues", askViolation: "nvmlDeviceGetViolationStatus",
	askECC: "nvmlDeviceGetMemoryErrorCounter", askTotalECC: "nvmlDeviceGetTotalEccErrors",
	askRemapped: "nvmlDeviceGetRemappedRows", askRetired: "nvmlDeviceGetRetiredPages", askRetiredPending: "nvmlDeviceGetRetiredPagesPendingStatus",
	askReplays: "nvmlDeviceGetPcieReplayCounter", askGeneration: "nvmlDeviceGetCurrPcieLinkGeneration",
	askMaxGeneration: "nvmlDeviceGetMaxPcieLinkGeneration", askWidth: "nvmlDeviceGetCurrPcieLinkWidth", askMaxWidth: "nvmlDeviceGetMaxPcieLinkWidth",
	askThroughput: "nvmlDeviceGetPcieThroughput", askFans: "nvmlDeviceGetNumFans", askFan: "nvmlDeviceGetFanSpeed_v2", askOneFan: "nvmlDeviceGetFanSpeed",
	askLinkState: "nvmlDeviceGetNvLinkState", askLinkErrors: "nvmlDeviceGetNvLinkErrorCounter",
	askProcessUse: "nvmlDeviceGetProcessUtilization",
	askMIG:        "nvmlDeviceGetMigMode", askMIGCount: "nvmlDeviceGetMaxMigDeviceCount", askMIGDevice: "nvmlDeviceGetMigDeviceHandleByIndex",
	askMIGAttributes: "nvmlDeviceGetAttributes_v2", askSliceFact: "nvmlDeviceGetGpuInstanceId",
	askVGPUs: "nvmlDeviceGetActiveVgpus", askVGPU: "nvmlVgpuInstanceGetFbUsage",
	askGPM: "nvmlGpmQueryDeviceSupport", askGPMSample: "nvmlGpmSampleGet", askGPMSliceSample: "nvmlGpmMigSampleGet", askGPMMetrics: "nvmlGpmMetricsGet",
}

// key is a question about one of several like things: a clock, a fan, a link.
type key struct {
	q question
	n int
}

// may says whether a question is worth asking now.
func (c *device) may(k key) bool {
	if c.lost || c.reloaded || c.backend.lacks[k.q] {
		return false
	}
	until, closed := c.closed[k]
	if closed && !c.now.Before(until) {
		delete(c.closed, k)
		return true
	}
	return !closed
}

// judge says whether a question was answered, and remembers what the answer says about the GPU.
func (c *device) judge(k key, ret nvml.Return) bool {
	switch ret {
	case nvml.SUCCESS:
		return true
	case nvml.ERROR_GPU_IS_LOST:
		c.lost = true
	case nvml.ERROR_UNINITIALIZED:
		c.reloaded = true
	case nvml.ERROR_RESET_REQUIRED:
		c.resetRequired = true
	case nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_NO_PERMISSION, nvml.ERROR_FUNCTION_NOT_FOUND, nvml.ERROR_INVALID_ARGUMENT,
		nvml.ERROR_ARGUMENT_VERSION_MISMATCH, nvml.ERROR_DEPRECATED, nvml.ERROR_VGPU_ECC_NOT_SUPPORTED, nvml.ERROR_FREQ_NOT_SUPPORTED:
		c.closed[k] = c.now.Add(askAgain)
	default:
		if k.q <= lastChief {
			c.errs = append(c.errs, fmt.Errorf("NVIDIA GPU %s: %s: %w (code %d)", c.id.Index, symbols[k.q], ret, int(ret)))
		}
	}
	return false
}

func ask[T any](c *device, q question, call func() (T, nvml.Return)) (T, bool) {
	return askFor(c, key{q: q}, call)
}

func askFor[T any](c *device, k key, call func() (T, nvml.Return)) (T, bool) {
	if !c.may(k) {
		var none T
		return none, false
	}
	v, ret := call()
	return v, c.judge(k, ret)
}

// number asks for a whole number. The library writes "not available" as the greatest unsigned number or -1.
func number[T int | uint32 | uint64](c *device, q question, call func() (T, nvml.Return)) gpu.Value {
	return numberFor(c, key{q: q}, call)
}

func numberFor[T int | uint32 | uint64](c *device, k key, call func() (T, nvml.Return)) gpu.Value {
	v, ok := askFor(c, k, call)
	if !ok || v == ^T(0) {
		return gpu.Value{}
	}
	return gpu.Known(float64(v))
}

// fact asks once for what does not change.
func fact[T int | uint32 | uint64](c *device, v *gpu.Value, k key, call func() (T, nvml.Return)) gpu.Value {
	if _, ok := v.Get(); !ok {
		*v = numberFor(c, k, call)
	}
	return *v
}

func times(v gpu.Value, n float64) gpu.Value {
	if f, ok := v.Get(); ok {
		return gpu.Known(f * n)
	}
	return v
}

// over divides where multiplying by a fraction would leave a trail of decimals.
func over(v gpu.Value, n float64) gpu.Value {
	if f, ok := v.Get(); ok {
		return gpu.Known(f / n)
	}
	return v
}

// ratio makes 0 to 1 of a percentage. Measured ones run a little over 100; what is far out is no percentage.
func ratio(percent float64) gpu.Value {
	if math.IsNaN(percent) || percent < 0 || percent > 110 {
		return gpu.Value{}
	}
	return gpu.Known(min(percent/100, 1))
}
