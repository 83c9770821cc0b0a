//go:build linux && cgo

package nvidia

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// values are what a simulated GPU says to fields; a field without scope stands for all its scopes.
type values map[field]uint64

func (v values) answer(list []nvml.FieldValue) nvml.Return {
	for i := range list {
		f := &list[i]
		n, ok := v[field{f.FieldId, f.ScopeId}]
		if !ok {
			n, ok = v[field{id: f.FieldId}]
			n += uint64(f.ScopeId)
		}
		if !ok {
			f.NvmlReturn = uint32(nvml.ERROR_NOT_SUPPORTED)
			continue
		}
		f.NvmlReturn, f.ValueType = uint32(nvml.SUCCESS), uint32(nvml.VALUE_TYPE_UNSIGNED_LONG_LONG)
		binary.NativeEndian.PutUint64(f.Value[:], n)
	}
	return nvml.SUCCESS
}

// refuse makes a GPU answer "not supported" to all that go-nvml's simulation does not answer itself.
func refuse(d *server.Device) {
	eachFunction(d, func(f reflect.Value) {
		if f.IsNil() {
			f.Set(failing(f.Type(), nvml.ERROR_NOT_SUPPORTED))
		}
	})
}

// fail makes a GPU answer all that it is asked with an error.
func fail(d *server.Device, ret nvml.Return) {
	eachFunction(d, func(f reflect.Value) { f.Set(failing(f.Type(), ret)) })
}

// eachFunction yields the GPU's functions that can fail.
func eachFunction(d *server.Device, yield func(reflect.Value)) {
	for _, f := range reflect.ValueOf(&d.Device).Elem().Fields() {
		if typ := f.Type(); f.CanSet() && typ.Kind() == reflect.Func && typ.NumOut() > 0 && typ.Out(typ.NumOut()-1) == reflect.TypeFor[nvml.Return]() {
			yield(f)
		}
	}
}

func failing(typ reflect.Type, ret nvml.Return) reflect.Value {
	return reflect.MakeFunc(typ, func([]reflect.Value) []reflect.Value {
		out := make([]reflect.Value, typ.NumOut())
		for o := range out {
			out[o] = reflect.Zero(typ.Out(o))
		}
		out[len(out)-1] = reflect.ValueOf(ret)
		return out
	})
}

func answer[T any](v T) func() (T, nvml.Return) {
	return func() (T, nvml.Return) { return v, nvml.SUCCESS }
}

// identify gives a GPU a name of its own, which the simulation draws at random.
func identify(d *server.Device, i int) {
	d.UUID = fmt.Sprintf("GPU-5d3c0f5a-0000-4000-8000-%012d", i)
	d.GetPciInfoFunc = answer(nvml.PciInfo{Domain: 0, Bus: uint32(0x1b + 0x10*i), Device: 0})
	d.GetVbiosVersionFunc = answer("92.00.45.00.03")
}

// furnish makes a GPU answer what an HGX A100 answers, with figures that differ by GPU.
func furnish(d *server.Device, i int) values {
	identify(d, i)
	u := uint32(i)
	total := d.MemoryInfo.Total
	d.GetMemoryInfo_v2Func = answer(nvml.Memory_v2{Total: total, Reserved: 600 << 20, Used: uint64(30+i) << 30, Free: total - uint64(30+i)<<30 - 600<<20})
	d.GetUtilizationRatesFunc = answer(nvml.Utilization{Gpu: 97 - u, Memory: 41})
	d.GetPowerUsageFunc = answer(287_431 + u)
	d.GetEnforcedPowerLimitFunc = answer(uint32(400_000))
	d.GetTotalEnergyConsumptionFunc = answer(uint64(123_456_789 + i))
	d.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 61 + u, nvml.SUCCESS }
	d.GetNumGpuCoresFunc = answer(6912)
	d.GetClockInfoFunc = func(c nvml.ClockType) (uint32, nvml.Return) {
		return map[nvml.ClockType]uint32{nvml.CLOCK_SM: 1275 + 15*u, nvml.CLOCK_MEM: 1215, nvml.CLOCK_GRAPHICS: 1275 + 15*u, nvml.CLOCK_VIDEO: 1170}[c], nvml.SUCCESS
	}
	d.GetMaxClockInfoFunc = func(c nvml.ClockType) (uint32, nvml.Return) {
		return map[nvml.ClockType]uint32{nvml.CLOCK_SM: 1410, nvml.CLOCK_MEM: 1215, nvml.CLOCK_GRAPHICS: 1410, nvml.CLOCK_VIDEO: 1290}[c], nvml.SUCCESS
	}
	d.GetCurrentClocksEventReasonsFunc = answer(uint64(nvml.ClocksEventReasonSwPowerCap))
	d.GetSupportedClocksEventReasonsFunc = answer(uint64(0x1ff))
	d.GetMemoryErrorCounterFunc = func(kind nvml.MemoryErrorType, _ nvml.EccCounterType, place nvml.MemoryLocation) (uint64, nvml.Return) {
		if place != nvml.MEMORY_LOCATION_DRAM && place != nvml.MEMORY_LOCATION_SRAM {
			return 0, nvml.ERROR_NOT_SUPPORTED
		}
		return uint64(i * (3 - int(kind))), nvml.SUCCESS
	}
	d.GetRemappedRowsFunc = func() (int, int, bool, bool, nvml.Return) { return i, 0, i > 0, false, nvml.SUCCESS }
	d.GetPcieReplayCounterFunc = answer(7 * i)
	d.GetCurrPcieLinkGenerationFunc = answer(4)
	d.GetMaxPcieLinkGenerationFunc = answer(4)
	d.GetCurrPcieLinkWidthFunc = answer(16 - 8*i)
	d.GetMaxPcieLinkWidthFunc = answer(16)
	d.GetPcieThroughputFunc = func(c nvml.PcieUtilCounter) (uint32, nvml.Return) { return 52_000 + 1000*uint32(c) + u, nvml.SUCCESS }
	d.GetNvLinkStateFunc = func(link int) (nvml.EnableState, nvml.Return) {
		if i == 1 && link == 1 {
			return nvml.FEATURE_DISABLED, nvml.SUCCESS
		}
		return nvml.FEATURE_ENABLED, nvml.SUCCESS
	}
	d.GetNvLinkErrorCounterFunc = func(link int, counter nvml.NvLinkErrorCounter) (uint64, nvml.Return) {
		if counter == nvml.NVLINK_ERROR_DL_ECC_DATA && i == 0 {
			return 0, nvml.ERROR_NOT_SUPPORTED
		}
		return uint64(10*link) + uint64(counter), nvml.SUCCESS
	}
	processes(d)
	fields := values{
		{id: nvml.FI_DEV_MEMORY_TEMP}:                                 uint64(70 + i),
		{id: nvml.FI_DEV_NVLINK_LINK_COUNT}:                           2,
		{id: nvml.FI_DEV_NVLINK_THROUGHPUT_DATA_RX}:                   1_000_000,
		{id: nvml.FI_DEV_NVLINK_THROUGHPUT_DATA_TX}:                   2_000_000,
		{id: nvml.FI_DEV_PERF_POLICY_POWER}:                           uint64(90*time.Second) + uint64(i),
		{id: nvml.FI_DEV_PERF_POLICY_SYNC_BOOST}:                      0,
		{id: nvml.FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN}:       uint64(2500 * time.Millisecond),
		{id: nvml.FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN}:       0,
		{id: nvml.FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN}: 0,
		{id: nvml.FI_DEV_GET_GPU_RECOVERY_ACTION}:                     uint64(nvml.GPU_RECOVERY_ACTION_NONE),
	}
	d.GetFieldValuesFunc = fields.answer
	return fields
}

type user struct {
	pid    uint32
	memory uint64
	sm     uint32 // of the GPU, in percent
}

// processes gives a GPU compute processes with their use, which the driver lists where it is not 0.
func processes(d *server.Device, users ...user) {
	var infos []nvml.ProcessInfo
	for _, u := range users {
		infos = append(infos, nvml.ProcessInfo{Pid: u.pid, UsedGpuMemory: u.memory, GpuInstanceId: math.MaxUint32, ComputeInstanceId: math.MaxUint32})
	}
	d.GetComputeRunningProcessesFunc = answer(infos)
	d.GetGraphicsRunningProcessesFunc = answer([]nvml.ProcessInfo(nil))
	d.GetProcessUtilizationFunc = func(since uint64) ([]nvml.ProcessUtilizationSample, nvml.Return) {
		samples := []nvml.ProcessUtilizationSample{{}} // as drivers do
		for _, u := range users {
			if at := uint64(time.Now().Add(-time.Second).UnixMicro()); u.sm > 0 && at > since {
				samples = append(samples, nvml.ProcessUtilizationSample{Pid: u.pid, TimeStamp: at, SmUtil: u.sm})
			}
		}
		if len(samples) == 1 {
			return nil, nvml.ERROR_NOT_FOUND
		}
		return samples, nvml.SUCCESS
	}
}

// performance makes a GPU count its performance as Hopper does. Samples are numbered; metrics are answered by the server.
func performance(s *server.Server, devices ...*server.Device) *samples {
	count := &samples{}
	for _, d := range devices {
		d.GpmQueryDeviceSupportFunc = answer(nvml.GpmSupport{IsSupportedDevice: 1})
		d.GpmSampleGetFunc = func(sample nvml.GpmSample) nvml.Return { return sample.Get(d) }
		d.GpmMigSampleGetFunc = func(gi int, sample nvml.GpmSample) nvml.Return { return sample.MigGet(d, gi) }
	}
	s.GpmSampleAllocFunc = func() (nvml.GpmSample, nvml.Return) {
		count.made.Add(1)
		sample := &sample{}
		sample.FreeFunc = func() nvml.Return { count.freed.Add(1); return nvml.SUCCESS }
		sample.GetFunc = func(nvml.Device) nvml.Return { sample.at = time.Now(); return nvml.SUCCESS }
		sample.MigGetFunc = func(_ nvml.Device, gi int) nvml.Return {
			sample.at, sample.gi = time.Now(), gi
			return nvml.SUCCESS
		}
		return sample, nvml.SUCCESS
	}
	s.GpmMetricsGetFunc = func(r *nvml.GpmMetricsGetType) nvml.Return {
		older, newer := r.Sample1.(*sample), r.Sample2.(*sample)
		if newer.at.Sub(older.at) < gpmPause {
			return nvml.ERROR_INVALID_ARGUMENT
		}
		for i := range r.Metrics[:r.NumMetrics] {
			m := &r.Metrics[i]
			m.NvmlReturn = uint32(nvml.SUCCESS)
			switch id := nvml.GpmMetricId(m.MetricId); id {
			case nvml.GPM_METRIC_GRAPHICS_UTIL:
				m.Value = 10 * float64(newer.gi)
			case nvml.GPM_METRIC_SM_UTIL:
				m.Value = 88.5
			case nvml.GPM_METRIC_SM_OCCUPANCY:
				m.Value = 31.25
			case nvml.GPM_METRIC_ANY_TENSOR_UTIL:
				m.Value = 24
			case nvml.GPM_METRIC_DRAM_BW_UTIL:
				m.Value = 100.4 // a little over, as measured ones are
			default:
				m.Value = float64(id)
			}
		}
		return nvml.SUCCESS
	}
	return count
}

type sample struct {
	mock.GpmSample
	at time.Time
	gi int
}

type samples struct{ made, freed atomic.Int64 }

// divide makes a GPU one of MIG with a large and two small slices, the latter sharing a GPU instance.
func divide(d *server.Device, i int) {
	d.MigMode = nvml.DEVICE_MIG_ENABLE
	d.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{}, nvml.ERROR_NOT_SUPPORTED }
	made := []nvml.Device{
		migDevice(d, fmt.Sprintf("MIG-5d3c0f5a-000%d-4000-8000-000000000000", i), 1, 0, nvml.DeviceAttributes{GpuInstanceSliceCount: 3, ComputeInstanceSliceCount: 3, MemorySizeMB: 19968}, true),
		nil, // a place without a device
		migDevice(d, fmt.Sprintf("MIG-5d3c0f5a-000%d-4000-8000-000000000002", i), 5, 0, nvml.DeviceAttributes{GpuInstanceSliceCount: 2, ComputeInstanceSliceCount: 1, MemorySizeMB: 9856}, false),
		migDevice(d, fmt.Sprintf("MIG-5d3c0f5a-000%d-4000-8000-000000000003", i), 5, 1, nvml.DeviceAttributes{GpuInstanceSliceCount: 2, ComputeInstanceSliceCount: 1, MemorySizeMB: 9856}, false),
	}
	d.GetMaxMigDeviceCountFunc = answer(7)
	d.GetMigDeviceHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		if i >= len(made) || made[i] == nil {
			return nil, nvml.ERROR_NOT_FOUND
		}
		return made[i], nvml.SUCCESS
	}
}

func migDevice(parent *server.Device, uuid string, gi, ci int, a nvml.DeviceAttributes, named bool) nvml.Device {
	m := &mock.Device{
		GetUUIDFunc:              answer(uuid),
		GetNameFunc:              answer(parent.Config.Name),
		GetGpuInstanceIdFunc:     answer(gi),
		GetComputeInstanceIdFunc: answer(ci),
		GetAttributesFunc:        answer(a),
		GetMemoryInfo_v2Func:     answer(nvml.Memory_v2{Total: a.MemorySizeMB << 20, Used: 7 << 30}),
		GetComputeRunningProcessesFunc: answer([]nvml.ProcessInfo{
			{Pid: uint32(4000 + 10*gi + ci), UsedGpuMemory: 7 << 30, GpuInstanceId: uint32(gi), ComputeInstanceId: uint32(ci)},
		}),
	}
	if named {
		m.GetNameFunc = answer(parent.Config.Name + " MIG 3g.20gb")
	}
	return m
}

// devicesOf returns the first GPUs of a simulated machine and takes the others out of it.
func devicesOf(s *server.Server, n int) []*server.Device {
	s.Devices = s.Devices[:n]
	list := make([]*server.Device, n)
	for i := range list {
		list[i] = s.Devices[i].(*server.Device)
		identify(list[i], i)
		refuse(list[i])
	}
	return list
}

func read(t *testing.T, b *Backend) []gpu.Device {
	t.Helper()
	r, err := b.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r.Devices
}

var sameValue = cmp.Comparer(func(a, b gpu.Value) bool { return a == b })
