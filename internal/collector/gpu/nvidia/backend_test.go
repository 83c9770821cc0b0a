//go:build linux && cgo

package nvidia

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

func TestNoLibrary(t *testing.T) {
	b := newBackend(nvml.New(nvml.WithLibraryPath("libnvidia-ml-that-is-not-there.so.1")), Options{})
	for range 3 {
		if _, err := b.Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) {
			t.Fatalf("got %v, want ErrAbsent", err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestThisMachine reads the GPUs of the machine that runs the tests, if it has any.
func TestThisMachine(t *testing.T) {
	b := New(Options{})
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 2 {
		r, err := b.Read(t.Context())
		switch {
		case errors.Is(err, gpu.ErrAbsent):
			return
		case err != nil:
			t.Skip(err)
		}
		for _, d := range r.Devices {
			if d.Name == "" || d.UUID == "" || d.Index == "" || d.PCI == "" || d.Driver == "" {
				t.Errorf("incomplete identity %+v", d.Identity)
			}
		}
		time.Sleep(2 * gpmPause)
	}
}

func TestOpenErrors(t *testing.T) {
	for ret, want := range map[nvml.Return]string{
		nvml.ERROR_DRIVER_NOT_LOADED:       "modprobe nvidia",
		nvml.ERROR_NO_PERMISSION:           "/dev/nvidiactl",
		nvml.ERROR_LIB_RM_VERSION_MISMATCH: "different versions",
		nvml.ERROR_UNKNOWN:                 "code 999",
	} {
		t.Run(ret.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := a100()
				calls := 0
				s.InitFunc = func() nvml.Return {
					calls++
					if calls > 1 {
						return nvml.SUCCESS
					}
					return ret
				}
				b := newBackend(s, Options{})
				for range 3 {
					_, err := b.Read(t.Context())
					if err == nil || errors.Is(err, gpu.ErrAbsent) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
						t.Fatalf("got %v, want one line with %q", err, want)
					}
				}
				if calls != 1 {
					t.Errorf("the library was opened %d times at once", calls)
				}
				time.Sleep(openAgain)
				if got := len(read(t, b)); got != 3 {
					t.Errorf("got %d GPUs after the driver was loaded, want 3", got)
				}
			})
		})
	}
}

func TestNoGPUs(t *testing.T) {
	s := a100()
	s.Devices = nil
	if _, err := newBackend(s, Options{}).Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) {
		t.Errorf("got %v, want ErrAbsent", err)
	}
}

// TestStaticValuesAreAskedOnce counts the calls of five minutes: what does not change is asked once, what the GPU does not
// offer once in five minutes, what is dear every ten seconds, and the library is opened once.
func TestStaticValuesAreAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := a100()
		devices := devicesOf(s, 3)
		furnish(devices[0], 0)
		devices[1].GetCurrentClocksEventReasonsFunc = answer(uint64(nvml.ClocksEventReasonGpuIdle))
		devices[1].GetSupportedClocksEventReasonsFunc = devices[1].GetCurrentClocksEventReasonsFunc
		b := newBackend(s, Options{})
		const readings = 290
		for range readings {
			read(t, b)
			time.Sleep(time.Second)
		}
		d, bare := devices[0], devices[2]
		for _, c := range []struct {
			what      string
			got, want int
		}{
			{"Init", len(s.InitCalls()), 1},
			{"Shutdown", len(s.ShutdownCalls()), 0},
			{"UUID", len(d.GetUUIDCalls()), 1},
			{"name", len(d.GetNameCalls()), 1},
			{"PCI", len(d.GetPciInfoCalls()), 1},
			{"VBIOS", len(d.GetVbiosVersionCalls()), 1},
			{"cores", len(d.GetNumGpuCoresCalls()), 1},
			{"highest clocks", len(d.GetMaxClockInfoCalls()), 4},
			{"reasons that there are", len(d.GetSupportedClocksEventReasonsCalls()), 1},
			{"clocks, three of them every ten seconds", len(d.GetClockInfoCalls()), readings + 3*readings/10},
			{"power limit", len(d.GetEnforcedPowerLimitCalls()), readings / 10},
			{"reasons that there are not", len(devices[1].GetSupportedClocksEventReasonsCalls()), 1},
			{"power", len(d.GetPowerUsageCalls()), readings},
			{"memory", len(d.GetMemoryInfo_v2Calls()), readings},
			{"PCIe throughput", len(d.GetPcieThroughputCalls()), 2 * readings / 10},
			{"fans of a GPU without", len(d.GetNumFansCalls()), 1},
			{"performance of a GPU without", len(d.GpmQueryDeviceSupportCalls()), 1},
			{"power of a GPU that does not tell", len(bare.GetPowerUsageCalls()), 1},
			{"processes of a GPU that does not tell", len(bare.GetComputeRunningProcessesCalls()), 1},
			{"ECC places of a GPU without", len(bare.GetMemoryErrorCounterCalls()), 2 * len(eccPlaces)},
			{"links of a GPU without", len(bare.GetNvLinkStateCalls()), nvml.NVLINK_MAX_LINKS},
		} {
			if c.got != c.want {
				t.Errorf("%s was asked %d times, want %d", c.what, c.got, c.want)
			}
		}
		time.Sleep(30 * time.Second)
		bare.GetPowerUsageFunc = answer(uint32(70_000))
		if watts, ok := read(t, b)[2].PowerUsed.Get(); watts != 70 || !ok {
			t.Errorf("got %v W %v after the GPU began to tell, want 70", watts, ok)
		}
		if err := b.Close(); err != nil || len(s.ShutdownCalls()) != 1 {
			t.Errorf("closed with %v and %d calls of Shutdown, want 1", err, len(s.ShutdownCalls()))
		}
	})
}

// TestLacksFunctions runs against an old library: calling a function that it does not have would end the program.
func TestLacksFunctions(t *testing.T) {
	s := h100()
	lacks := []string{
		"nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetSupportedClocksEventReasons",
		"nvmlGpmQueryDeviceSupport", "nvmlDeviceGetRemappedRows", "nvmlDeviceGetNumGpuCores",
	}
	s.LookupSymbolFunc = func(symbol string) error {
		if slices.Contains(lacks, symbol) {
			return errors.New("undefined symbol")
		}
		return nil
	}
	d := devicesOf(s, 1)[0]
	furnish(d, 0)
	d.GetMemoryInfo_v2Func, d.GetCurrentClocksEventReasonsFunc, d.GetSupportedClocksEventReasonsFunc = nil, nil, nil // the mock panics
	d.GpmQueryDeviceSupportFunc, d.GetRemappedRowsFunc, d.GetNumGpuCoresFunc = nil, nil, nil
	d.MemoryInfo.Used = 5 << 30
	d.GetCurrentClocksThrottleReasonsFunc = answer(uint64(reasonHW))
	d.GetRetiredPagesFunc = func(cause nvml.PageRetirementCause) ([]uint64, nvml.Return) {
		return make([]uint64, 2+int(cause)), nvml.SUCCESS
	}
	d.GetRetiredPagesPendingStatusFunc = answer(nvml.FEATURE_ENABLED)
	got := read(t, newBackend(s, Options{}))[0]
	want := gpu.Device{
		MemoryUsed: gpu.Known(5 << 30), Throttles: []gpu.Throttle{gpu.ThrottleHW}, ThrottleKnown: true,
		Remapped: []gpu.Remapped{{Cause: gpu.Corrected, Count: 2}, {Cause: gpu.Uncorrected, Count: 3}}, RowRemapPending: gpu.Known(1),
	}
	if diff := cmp.Diff(want, gpu.Device{
		MemoryUsed: got.MemoryUsed, Throttles: got.Throttles, ThrottleKnown: got.ThrottleKnown,
		Remapped: got.Remapped, RowRemapPending: got.RowRemapPending, RowRemapFailed: got.RowRemapFailed, Cores: got.Cores,
	}, sameValue); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestOldCounters reads a GPU whose driver has functions where later ones have fields.
func TestOldCounters(t *testing.T) {
	s := a100()
	d := devicesOf(s, 1)[0]
	fields := furnish(d, 0)
	clear(fields)
	d.GetViolationStatusFunc = func(p nvml.PerfPolicyType) (nvml.ViolationTime, nvml.Return) {
		if p == nvml.PERF_POLICY_POWER || p == nvml.PERF_POLICY_THERMAL {
			return nvml.ViolationTime{ViolationTime: uint64(time.Duration(1+p) * time.Minute)}, nvml.SUCCESS
		}
		return nvml.ViolationTime{}, nvml.ERROR_NOT_SUPPORTED
	}
	d.GetMemoryErrorCounterFunc = func(nvml.MemoryErrorType, nvml.EccCounterType, nvml.MemoryLocation) (uint64, nvml.Return) {
		return 0, nvml.ERROR_NOT_SUPPORTED
	}
	d.GetTotalEccErrorsFunc = func(kind nvml.MemoryErrorType, _ nvml.EccCounterType) (uint64, nvml.Return) {
		return 8 - uint64(kind), nvml.SUCCESS
	}
	d.GetFanSpeedFunc = answer(uint32(30))
	d.GetNvLinkStateFunc = func(link int) (nvml.EnableState, nvml.Return) {
		if link >= 6 {
			return 0, nvml.ERROR_INVALID_ARGUMENT
		}
		return nvml.FEATURE_DISABLED, nvml.SUCCESS
	}
	got := read(t, newBackend(s, Options{}))[0]
	if diff := cmp.Diff([]gpu.ThrottleTime{{Reason: gpu.ThrottlePowerCap, Time: time.Minute}, {Reason: gpu.ThrottleThermal, Time: 2 * time.Minute}}, got.Throttled); diff != "" {
		t.Errorf("throttled: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]gpu.ECC{{Kind: gpu.Corrected, Location: "all", Count: 8}, {Kind: gpu.Uncorrected, Location: "all", Count: 7}}, got.ECC); diff != "" {
		t.Errorf("ECC: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]gpu.Fan{{Name: "0", Speed: gpu.Known(0.3)}}, got.Fans, sameValue); diff != "" {
		t.Errorf("fans: -want +got:\n%s", diff)
	}
	if len(got.Links) != 6 || got.Links[5].Up != gpu.Known(0) {
		t.Errorf("got links %+v, want six that are down", got.Links)
	}
	if got.Action != "" || got.MemoryTemperature != (gpu.Value{}) {
		t.Errorf("action %q and memory temperature %v of a GPU that tells neither", got.Action, got.MemoryTemperature)
	}
}

// TestFifthGenerationLinks reads links that count bytes rather than KiB, and other errors.
func TestFifthGenerationLinks(t *testing.T) {
	s := a100()
	d := devicesOf(s, 1)[0]
	fields := furnish(d, 0)
	fields[field{id: nvml.FI_DEV_NVLINK_LINK_COUNT}] = 1
	fields[field{id: nvml.FI_DEV_NVLINK_COUNT_RCV_BYTES}] = 77
	fields[field{id: nvml.FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS}] = 5
	d.GetNvLinkErrorCounterFunc = func(int, nvml.NvLinkErrorCounter) (uint64, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED }
	want := []gpu.Link{{
		Type: "nvlink", Name: "0", Up: gpu.Known(1), Received: gpu.Known(77), Transmitted: gpu.Known(2_000_000 * 1024),
		Errors: []gpu.LinkError{{Kind: "symbol", Count: 5}},
	}}
	if diff := cmp.Diff(want, read(t, newBackend(s, Options{}))[0].Links, sameValue); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLostGPU(t *testing.T) {
	for name, lose := range map[string]func(*server.Server, *server.Device){
		"by its calls": func(_ *server.Server, device *server.Device) {
			fail(device, nvml.ERROR_GPU_IS_LOST)
		},
		"by its handle": func(s *server.Server, _ *server.Device) {
			handle := s.DeviceGetHandleByIndexFunc
			s.DeviceGetHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
				if i == 0 {
					return nil, nvml.ERROR_GPU_IS_LOST
				}
				return handle(i)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := a100()
			device := devicesOf(s, 2)[0]
			furnish(device, 0)
			b := newBackend(s, Options{})
			before := read(t, b)
			lose(s, device)
			for range 2 {
				r, err := b.Read(t.Context())
				if err == nil || !strings.Contains(err.Error(), "GPU 0") || !strings.Contains(err.Error(), "XID") {
					t.Errorf("got error %v, want one about GPU 0", err)
				}
				if len(r.Devices) != 2 || r.Devices[1].Lost || !r.Devices[0].Lost {
					t.Fatalf("got %+v, want the first of two lost", r.Devices)
				}
				if diff := cmp.Diff(gpu.Device{Identity: before[0].Identity, Lost: true}, r.Devices[0], sameValue); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

// TestLostBeforeSeen: a GPU without a known identity is named in the error alone.
func TestLostBeforeSeen(t *testing.T) {
	s := a100()
	fail(devicesOf(s, 2)[0], nvml.ERROR_GPU_IS_LOST)
	r, err := newBackend(s, Options{}).Read(t.Context())
	if err == nil || len(r.Devices) != 1 || r.Devices[0].Index != "1" {
		t.Errorf("got %v and %v, want GPU 1 and an error", r.Devices, err)
	}
}

// TestOneValueFails: what fails costs that value alone, and is reported where it is a chief one.
func TestOneValueFails(t *testing.T) {
	s := a100()
	d := devicesOf(s, 1)[0]
	furnish(d, 0)
	d.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_UNKNOWN }
	d.GetClockInfoFunc = func(nvml.ClockType) (uint32, nvml.Return) { return 0, nvml.ERROR_UNKNOWN }
	d.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.ERROR_UNKNOWN }
	d.GetGraphicsRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.ERROR_NO_PERMISSION }
	r, err := newBackend(s, Options{}).Read(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nvmlDeviceGetPowerUsage") || strings.Contains(err.Error(), "Clock") {
		t.Errorf("got error %v, want one about the power alone", err)
	}
	got := r.Devices[0]
	if got.PowerUsed != (gpu.Value{}) || got.PowerLimit != gpu.Known(400) || got.Clocks[0].Now != (gpu.Value{}) || got.ProcessesKnown {
		t.Errorf("got %+v", got)
	}
}

func TestResetRequired(t *testing.T) {
	s := a100()
	d := devicesOf(s, 1)[0]
	furnish(d, 0)
	d.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{}, nvml.ERROR_RESET_REQUIRED }
	if got := read(t, newBackend(s, Options{}))[0].Action; got != gpu.ActionReset {
		t.Errorf("got action %q, want reset", got)
	}
}

// TestDriverReloaded loses the session between and within readings.
func TestDriverReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := a100()
		devices := devicesOf(s, 2)
		furnish(devices[0], 0)
		furnish(devices[1], 1)
		gone := false
		s.InitFunc = func() nvml.Return { gone = false; return nvml.SUCCESS }
		count, power := s.DeviceGetCountFunc, devices[1].GetPowerUsageFunc
		s.DeviceGetCountFunc = func() (int, nvml.Return) {
			if gone {
				return 0, nvml.ERROR_UNINITIALIZED
			}
			return count()
		}
		devices[1].GetPowerUsageFunc = func() (uint32, nvml.Return) {
			if gone {
				return 0, nvml.ERROR_UNINITIALIZED
			}
			return power()
		}
		b := newBackend(s, Options{})
		before := read(t, b)
		s.DriverVersion = "570.86.15"
		gone = true
		between := read(t, b)
		if between[1].Driver != "570.86.15" || between[1].UUID != before[1].UUID {
			t.Errorf("got %+v after the reload", between[1].Identity)
		}
		s.DeviceGetCountFunc = count // now it is seen by the second GPU's power alone
		gone = true
		if within := read(t, b); len(within) != 2 || within[1].PowerUsed != before[1].PowerUsed {
			t.Errorf("got %+v", within)
		}
		if got := len(s.InitCalls()); got != 3 {
			t.Errorf("opened %d times, want 3", got)
		}
		if err := b.Close(); err != nil || len(s.ShutdownCalls()) != 3 {
			t.Errorf("closed with %v, %d calls of Shutdown, want 3", err, len(s.ShutdownCalls()))
		}
	})
}

// TestWatchForgetsAnOldSession: handles of a session that is over are not used in the next.
func TestWatchForgetsAnOldSession(t *testing.T) {
	s := a100()
	devicesOf(s, 2)
	b := newBackend(s, Options{})
	read(t, b)
	if devices, _ := b.current(); len(devices) != 2 {
		t.Fatalf("%d GPUs are watched, want 2", len(devices))
	}
	s.DeviceGetCountFunc = func() (int, nvml.Return) { return 0, nvml.ERROR_UNINITIALIZED }
	s.InitFunc = func() nvml.Return { return nvml.ERROR_DRIVER_NOT_LOADED }
	if _, err := b.Read(t.Context()); err == nil {
		t.Fatal("no error without a driver")
	}
	if devices, _ := b.current(); len(devices) != 0 {
		t.Errorf("%d GPUs of the old session are watched", len(devices))
	}
}

// TestDivisionEnds: what a divided GPU does not tell is asked again as soon as it is whole.
func TestDivisionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := a100()
		d := devicesOf(s, 1)[0]
		furnish(d, 0)
		whole := d.GetUtilizationRatesFunc
		divide(d, 0)
		b := newBackend(s, Options{})
		if got := read(t, b)[0].Utilization; got != (gpu.Value{}) {
			t.Errorf("got %v of a divided GPU", got)
		}
		d.MigMode, d.GetUtilizationRatesFunc = nvml.DEVICE_MIG_DISABLE, whole
		for range 2 {
			time.Sleep(slowEvery)
			read(t, b)
		}
		if got := read(t, b)[0].Utilization; got != gpu.Known(0.97) {
			t.Errorf("got %v, want 0.97", got)
		}
	})
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newBackend(a100(), Options{}).Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
