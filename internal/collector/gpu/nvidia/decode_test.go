//go:build linux && cgo

package nvidia

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

func TestThrottles(t *testing.T) {
	for bits, want := range map[uint64][]gpu.Throttle{
		0x000:      nil,
		0x001:      nil, // idle
		0x002:      {gpu.ThrottleUserClocks},
		0x004:      {gpu.ThrottlePowerCap},
		0x008:      {gpu.ThrottleHW},
		0x010:      {gpu.ThrottleSync},
		0x024:      {gpu.ThrottlePowerCap, gpu.ThrottleThermal},
		0x048:      {gpu.ThrottleThermalHW}, // the bit of hardware slowdown stands beside its reason
		0x088:      {gpu.ThrottlePowerBrake},
		0x100:      {gpu.ThrottleUnknownReason},
		0x200:      {gpu.ThrottleBoardLimit},
		0x400:      {gpu.ThrottleReliability},
		1<<40 | 25: {gpu.ThrottleSync, gpu.ThrottleHW, gpu.ThrottleUnknownReason},
	} {
		s := a100()
		d := devicesOf(s, 1)[0]
		d.GetCurrentClocksEventReasonsFunc = answer(bits)
		got := read(t, newBackend(s, Options{}))[0]
		slices.Sort(want)
		slices.Sort(got.Throttles)
		if diff := cmp.Diff(want, got.Throttles); diff != "" || !got.ThrottleKnown {
			t.Errorf("%#x: known %v, -want +got:\n%s", bits, got.ThrottleKnown, diff)
		}
	}
}

func TestActions(t *testing.T) {
	for v, want := range []gpu.Action{
		gpu.ActionNone, gpu.ActionReset, gpu.ActionReboot, gpu.ActionDrain, gpu.ActionDrain, "", gpu.ActionReset, gpu.ActionReboot, "", "",
	} {
		if got := action(float64(v)); got != want {
			t.Errorf("action %d is %q, want %q", v, got, want)
		}
	}
}

func TestNotAvailable(t *testing.T) {
	s := a100()
	d := devicesOf(s, 1)[0]
	furnish(d, 0)
	d.GetPowerUsageFunc = answer(uint32(math.MaxUint32))
	d.GetTotalEnergyConsumptionFunc = answer(uint64(math.MaxUint64))
	d.GetCurrPcieLinkWidthFunc = answer(-1)
	d.GetUtilizationRatesFunc = answer(nvml.Utilization{Gpu: 4_000_000})
	d.GetMemoryInfo_v2Func = answer(nvml.Memory_v2{}) // memory that is the machine's
	got := read(t, newBackend(s, Options{}))[0]
	for name, v := range map[string]gpu.Value{
		"power": got.PowerUsed, "energy": got.Energy, "width": got.PCIe.Width, "utilization": got.Utilization, "memory": got.MemoryTotal, "used memory": got.MemoryUsed,
	} {
		if n, ok := v.Get(); ok {
			t.Errorf("%s is %v, want it absent", name, n)
		}
	}
}

// TestProcesses: two processes on one GPU, one of them on the second too, one that draws as well, one without figures.
func TestProcesses(t *testing.T) {
	s := a100()
	devices := devicesOf(s, 2)
	processes(devices[0], user{pid: 20, memory: 30 << 30, sm: 70}, user{pid: 10, memory: 5 << 30}, user{pid: 30, memory: math.MaxUint64, sm: 4_000_000_000})
	devices[0].GetGraphicsRunningProcessesFunc = answer([]nvml.ProcessInfo{{Pid: 10, UsedGpuMemory: 5 << 30}, {Pid: 40, UsedGpuMemory: 1 << 20}})
	processes(devices[1], user{pid: 20, memory: 31 << 30, sm: 4})
	got := read(t, newBackend(s, Options{}))
	want := [][]gpu.Process{{
		{PID: 10, Memory: gpu.Known(5 << 30), Use: gpu.Known(0)},
		{PID: 20, Memory: gpu.Known(30 << 30), Use: gpu.Known(0.7)},
		{PID: 30},
		{PID: 40, Memory: gpu.Known(1 << 20), Use: gpu.Known(0)},
	}, {
		{PID: 20, Memory: gpu.Known(31 << 30), Use: gpu.Known(0.04)},
	}}
	for i := range want {
		if diff := cmp.Diff(want[i], got[i].Processes, sameValue); diff != "" || !got[i].ProcessesKnown {
			t.Errorf("GPU %d: known %v, -want +got:\n%s", i, got[i].ProcessesKnown, diff)
		}
	}
}

// TestProcessesThatAreNotAllListed: a list that lacks some says nothing, since what is not listed would count as nobody's.
func TestProcessesThatAreNotAllListed(t *testing.T) {
	s := a100()
	devices := devicesOf(s, 2)
	processes(devices[0])
	devices[0].GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.ERROR_UNKNOWN }
	furnish(devices[1], 1)
	divide(devices[1], 1)
	slice, _ := devices[1].GetMigDeviceHandleByIndex(2)
	slice.(*mock.Device).GetComputeRunningProcessesFunc = devices[0].GetComputeRunningProcessesFunc
	for i, d := range read(t, newBackend(s, Options{})) {
		if d.ProcessesKnown || d.Processes != nil {
			t.Errorf("GPU %d: got %+v, want them unknown", i, d.Processes)
		}
	}
}

// TestUseAfterAClockStep: samples from before the clock was set back are none of now.
func TestUseAfterAClockStep(t *testing.T) {
	s := a100()
	d := devicesOf(s, 1)[0]
	processes(d, user{pid: 20, memory: 1 << 30, sm: 70})
	d.GetProcessUtilizationFunc = func(uint64) ([]nvml.ProcessUtilizationSample, nvml.Return) {
		now := time.Now()
		return []nvml.ProcessUtilizationSample{
			{Pid: 20, TimeStamp: uint64(now.Add(time.Hour).UnixMicro()), SmUtil: 99},
			{Pid: 20, TimeStamp: uint64(now.Add(-time.Second).UnixMicro()), SmUtil: 12},
		}, nvml.SUCCESS
	}
	if got := read(t, newBackend(s, Options{}))[0].Processes[0].Use; got != gpu.Known(0.12) {
		t.Errorf("got %v, want 0.12", got)
	}
}

func TestProcessUseUnknown(t *testing.T) {
	s := a100()
	d := devicesOf(s, 1)[0]
	processes(d, user{pid: 20, memory: 1 << 30, sm: 70})
	d.GetProcessUtilizationFunc = func(uint64) ([]nvml.ProcessUtilizationSample, nvml.Return) { return nil, nvml.ERROR_NO_PERMISSION }
	if diff := cmp.Diff([]gpu.Process{{PID: 20, Memory: gpu.Known(1 << 30)}}, read(t, newBackend(s, Options{}))[0].Processes, sameValue); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestVGPUs(t *testing.T) {
	s := dgxa100.New()
	d := devicesOf(s, 1)[0]
	d.GetActiveVgpusFunc = answer([]nvml.VgpuInstance{&mock.VgpuInstance{
		GetUUIDFunc:    answer("5d3c0f5a-1111"),
		GetFbUsageFunc: answer(uint64(3 << 30)),
		GetTypeFunc: answer(nvml.VgpuTypeId(&mock.VgpuTypeId{
			GetNameFunc: answer("GRID A100-10C"), GetFramebufferSizeFunc: answer(uint64(10 << 30)),
		})),
	}})
	want := []gpu.Slice{{Name: "5d3c0f5a-1111", UUID: "5d3c0f5a-1111", Profile: "GRID A100-10C", MemoryTotal: gpu.Known(10 << 30), MemoryUsed: gpu.Known(3 << 30)}}
	if diff := cmp.Diff(want, read(t, newBackend(s, Options{}))[0].Slices, sameValue); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzField: whatever the driver writes into a field's union gives a number that is not negative, or none.
func FuzzField(f *testing.F) {
	f.Add(uint32(nvml.VALUE_TYPE_UNSIGNED_INT), uint64(math.MaxUint32))
	f.Add(uint32(nvml.VALUE_TYPE_SIGNED_INT), uint64(math.MaxUint64))
	f.Add(uint32(nvml.VALUE_TYPE_DOUBLE), math.Float64bits(math.NaN()))
	f.Add(uint32(nvml.VALUE_TYPE_DOUBLE), math.Float64bits(-1))
	f.Add(uint32(99), uint64(1))
	f.Fuzz(func(t *testing.T, typ uint32, bits uint64) {
		value := nvml.FieldValue{ValueType: typ}
		binary.NativeEndian.PutUint64(value.Value[:], bits)
		v, ok := decode(&value)
		if ok && (math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || typ >= uint32(nvml.VALUE_TYPE_COUNT)) {
			t.Errorf("type %d with bits %#x gives %v", typ, bits, v)
		}
	})
}
