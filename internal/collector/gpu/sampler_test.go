package gpu

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSilentBeforeTheFirstReading(t *testing.T) {
	s, err := New(Options{Backends: []Backend{newStub("nvidia", "a")}, Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if samples, failed := collect(t, s); len(samples) > 0 || failed["gpu_nvidia"] != "none" {
		t.Errorf("%v, %v", samples, failed)
	}
}

func TestReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var energies []float64
		b := newStub("nvidia", "a", "b")
		s, stop := start(t, Options{Backends: []Backend{b}, OnReading: func(vendor string, _ time.Time, devices []Device) {
			if vendor != "nvidia" || len(devices) != 2 {
				t.Errorf("%s, %d devices", vendor, len(devices))
			}
			joules, _ := devices[0].Energy.Get()
			energies = append(energies, joules)
		}})
		time.Sleep(3*time.Second + 100*time.Millisecond)
		samples, failed := collect(t, s)
		if len(failed) > 0 {
			t.Errorf("failed: %v", failed)
		}
		want(t, "read", samples, map[string]float64{
			"worker_node_gpu_temperature_celsius{0}": 50, "worker_node_gpu_temperature_celsius{1}": 50, "gpu_up{0}": 1,
			"gpu_energy_joules_total{0}": 300, "gpu_expected{vendor=nvidia}": 2, "gpu_present{vendor=nvidia}": 2,
			"gpu_lost_total{vendor=nvidia}": 0, "gpu_driver_responsive{vendor=nvidia}": 1, "gpu_recommended_action{0,action=none}": 1,
		})
		stop()
		if fmt.Sprint(energies) != "[0 100 200 300]" {
			t.Errorf("energies of OnReading: %v", energies)
		}
		if _, closed := b.count(); closed != 1 {
			t.Errorf("closed %d times", closed)
		}
	})
}

// TestHang is the promise: a driver that never answers costs its own GPUs' families and nothing else.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sick, well := newStub("nvidia", "a", "b"), newStub("amd", "c")
		var log logged
		s, stop := start(t, Options{Backends: []Backend{sick, well}, Logger: log.logger()})
		release := make(chan struct{})
		sick.answers(func(context.Context) (Reading, error) {
			<-release
			return Reading{Devices: []Device{sick.device(0, "a"), sick.device(1, "b")}}, nil
		})
		before, _ := collect(t, s)
		time.Sleep(1500 * time.Millisecond) // the Read hangs, the deadline has not passed
		samples, _ := collect(t, s)
		if len(samples) != len(before) {
			t.Errorf("%d samples while nobody can know, want %d", len(samples), len(before))
		}
		time.Sleep(5 * time.Second)
		hanging, _ := sick.count()
		synctest.Wait()
		goroutines := runtime.NumGoroutine()
		sickOnes := map[string]float64{
			"gpu_driver_responsive{vendor=nvidia}": 0, "gpu_expected{vendor=nvidia}": 2, "gpu_present{vendor=nvidia}": -1,
			"gpu_up{0}": -1, "worker_node_gpu_temperature_celsius{1}": -1,
		}
		for i := range 1000 {
			if i%100 == 0 {
				time.Sleep(7 * time.Second)
				synctest.Wait()
			}
			samples, failed := collect(t, s)
			if i%100 == 0 {
				want(t, "hangs", samples, sickOnes)
				amd := 0
				for series := range samples {
					if !strings.Contains(series, "vendor=nvidia") {
						amd++
					}
				}
				if amd != 11 || failed["gpu_amd"] != "" {
					t.Fatalf("%d samples of the other backend, failed %v: %v", amd, failed, samples)
				}
				if failed["gpu_nvidia"] != "driver hangs: no answer for 5s" {
					t.Errorf("%v", failed)
				}
			}
		}
		if reads, _ := sick.count(); reads != hanging {
			t.Errorf("%d more Reads were begun", reads-hanging)
		}
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines, %d at the beginning", n, goroutines)
		}
		close(release)
		time.Sleep(2 * time.Second)
		samples, failed := collect(t, s)
		want(t, "answers again", samples, map[string]float64{"gpu_driver_responsive{vendor=nvidia}": 1, "gpu_up{0}": 1, "worker_node_gpu_temperature_celsius{1}": 50, "gpu_lost_total{vendor=nvidia}": 0})
		if len(failed) > 0 {
			t.Errorf("failed: %v", failed)
		}
		time.Sleep(recoveredAfter)
		if log.having("driver hangs") != 1 || log.having("GPU readings succeed again") != 1 {
			t.Errorf("%v", log.lines)
		}
		stop()
	})
}

// TestHangCostsNoTime: neither a scrape nor the end waits for a driver that hangs.
func TestHangCostsNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sick := newStub("nvidia")
		release := make(chan struct{})
		sick.answers(func(context.Context) (Reading, error) { <-release; return Reading{}, nil })
		s, stop := start(t, Options{Backends: []Backend{sick, newStub("amd", "a")}})
		for range 1000 {
			begin := time.Now()
			collect(t, s)
			if took := time.Since(begin); took != 0 {
				t.Fatalf("a scrape took %s", took)
			}
			time.Sleep(10 * time.Millisecond)
		}
		begin := time.Now()
		stop()
		if took := time.Since(begin); took > shutdownWait {
			t.Errorf("Run took %s to end, want at most %s", took, shutdownWait)
		}
		if _, closed := sick.count(); closed != 0 {
			t.Error("a backend was closed while it was read")
		}
		close(release)
	})
}

func TestHangFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia")
		release := make(chan struct{})
		b.answers(func(context.Context) (Reading, error) { <-release; return Reading{}, ErrAbsent })
		s, stop := start(t, Options{Backends: []Backend{b}, Expected: 8})
		time.Sleep(6 * time.Second)
		samples, _ := collect(t, s)
		want(t, "hangs", samples, map[string]float64{"gpu_driver_responsive{vendor=nvidia}": 0, "gpu_expected{vendor=nvidia}": 8})
		close(release)
		time.Sleep(2 * time.Second)
		samples, failed := collect(t, s)
		want(t, "absent", samples, map[string]float64{"gpu_driver_responsive{vendor=nvidia}": -1, "gpu_expected{}": 8, "gpu_present{}": 0})
		if failed["gpu_nvidia"] != "none" {
			t.Errorf("%v", failed)
		}
		stop()
	})
}

// TestGivesUpItself: a Read that keeps to its context counts as hanging too, without a moment of health in between.
func TestGivesUpItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("ascend", "a")
		s, stop := start(t, Options{Backends: []Backend{b}})
		b.answers(func(ctx context.Context) (Reading, error) { <-ctx.Done(); return Reading{}, ctx.Err() })
		time.Sleep(6500 * time.Millisecond)
		for range 40 {
			time.Sleep(500 * time.Millisecond)
			samples, _ := collect(t, s)
			want(t, "gave up", samples, map[string]float64{"gpu_driver_responsive{vendor=ascend}": 0, "gpu_up{0}": -1})
		}
		b.gives(nil, fmt.Errorf("npu-smi: %w", ErrHangs))
		time.Sleep(10 * time.Second)
		samples, _ := collect(t, s)
		want(t, "says so", samples, map[string]float64{"gpu_driver_responsive{vendor=ascend}": 0, "gpu_up{0}": -1})
		stop()
	})
}

func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a", "b")
		var log logged
		s, stop := start(t, Options{Backends: []Backend{b}, Logger: log.logger()})
		b.gives(nil, errors.New("version mismatch"))
		time.Sleep(5 * time.Second)
		samples, failed := collect(t, s)
		want(t, "failing", samples, map[string]float64{"worker_node_gpu_temperature_celsius{0}": 50, "gpu_driver_responsive{vendor=nvidia}": 1})
		if failed["gpu_nvidia"] != "version mismatch" {
			t.Errorf("%v", failed)
		}
		time.Sleep(15 * time.Second)
		samples, _ = collect(t, s)
		want(t, "stale", samples, map[string]float64{
			"worker_node_gpu_temperature_celsius{0}": -1, "gpu_up{0}": 0, "gpu_expected{vendor=nvidia}": 2, "gpu_present{vendor=nvidia}": 0, "gpu_lost_total{vendor=nvidia}": 0,
		})
		b.answers(func(context.Context) (Reading, error) { panic("index out of\nrange") })
		time.Sleep(5 * time.Second)
		if _, failed = collect(t, s); failed["gpu_nvidia"] != "the backend panicked: index out of range" {
			t.Errorf("%v", failed)
		}
		b.gives([]Device{b.device(0, "a")}, errors.New("GPU 1: unknown error"))
		time.Sleep(1500 * time.Millisecond)
		samples, failed = collect(t, s)
		want(t, "one is bad", samples, map[string]float64{"worker_node_gpu_temperature_celsius{0}": 50, "gpu_up{0}": 1, "gpu_up{1}": 0, "gpu_lost_total{vendor=nvidia}": 0})
		if failed["gpu_nvidia"] != "GPU 1: unknown error" {
			t.Errorf("%v", failed)
		}
		time.Sleep(5 * time.Second)
		samples, _ = collect(t, s)
		want(t, "stays bad", samples, map[string]float64{"gpu_lost_total{vendor=nvidia}": 1, "gpu_up{1}": 0})
		b.have("a", "b")
		time.Sleep(5 * time.Second)
		samples, failed = collect(t, s)
		want(t, "good", samples, map[string]float64{"gpu_up{1}": 1, "gpu_lost_total{vendor=nvidia}": 1})
		if len(failed) > 0 {
			t.Errorf("%v", failed)
		}
		time.Sleep(recoveredAfter)
		for _, text := range []string{"version mismatch", "panicked", "GPU 1: unknown", "GPU readings succeed again"} {
			if n := log.having(text); n != 1 {
				t.Errorf("%q was logged %d times", text, n)
			}
		}
		stop()
	})
}

// TestLogOfWhatComesAndGoes: a fault that is there every other second is logged once, on one line, and so is its end.
func TestLogOfWhatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a", "b")
		var log logged
		_, stop := start(t, Options{Backends: []Backend{b}, Logger: log.logger()})
		n := 0
		b.answers(func(context.Context) (Reading, error) {
			r := Reading{Devices: []Device{b.device(0, "a"), b.device(1, "b")}}
			if n++; n%2 == 0 {
				return r, errors.Join(errors.New("GPU 0: no power"), errors.New("GPU 1: no power"))
			}
			return r, nil
		})
		time.Sleep(10 * time.Minute)
		if log.having("") != 2 || log.having("GPU 0: no power; GPU 1: no power") != 1 { // the other says that there is no kernel log
			t.Errorf("%v", log.lines)
		}
		b.have("a", "b")
		time.Sleep(2 * recoveredAfter)
		if log.having("") != 3 || log.having("GPU readings succeed again") != 1 {
			t.Errorf("%v", log.lines)
		}
		stop()
	})
}

// TestSlowTool: a tool that takes just less than what counts as hanging is never late.
func TestSlowTool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia")
		b.least = 5 * time.Second
		n := 0
		b.answers(func(context.Context) (Reading, error) {
			n++
			time.Sleep(14*time.Second + time.Duration(n%2)*900*time.Millisecond)
			return Reading{Devices: []Device{b.device(0, "a")}}, nil
		})
		s, stop := start(t, Options{Backends: []Backend{b}})
		time.Sleep(16 * time.Second)
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			samples, failed := collect(t, s)
			want(t, "slow", samples, map[string]float64{"worker_node_gpu_temperature_celsius{0}": 50, "gpu_driver_responsive{vendor=nvidia}": 1})
			if len(failed) > 0 {
				t.Error(failed)
				break
			}
		}
		stop()
		time.Sleep(15 * time.Second) // until the tool ends
	})
}

// TestShortInterval: on a busy machine a reading may take many short intervals without anything being wrong.
func TestShortInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a")
		s, stop := start(t, Options{Backends: []Backend{b}, Interval: 20 * time.Millisecond})
		b.answers(func(context.Context) (Reading, error) {
			time.Sleep(time.Second)
			return Reading{Devices: []Device{b.device(0, "a")}}, nil
		})
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			samples, failed := collect(t, s)
			if samples["worker_node_gpu_temperature_celsius{0}"] != 50 || len(failed) > 0 {
				t.Errorf("%v, failed %v", samples, failed)
				break
			}
		}
		stop()
		time.Sleep(time.Second)
	})
}

func TestAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia")
		b.gives(nil, fmt.Errorf("libnvidia-ml.so.1: %w", ErrAbsent))
		var log logged
		s, stop := start(t, Options{Backends: []Backend{b}, Logger: log.logger()})
		time.Sleep(10 * time.Minute)
		if samples, failed := collect(t, s); len(samples) > 0 || failed["gpu_nvidia"] != "none" {
			t.Errorf("%v, %v", samples, failed)
		}
		if reads, _ := b.count(); reads < 9 || reads > 11 {
			t.Errorf("%d reads in ten minutes", reads)
		}
		if log.having("WARN") != 0 {
			t.Errorf("%v", log.lines)
		}
		b.have("a")
		time.Sleep(61 * time.Second)
		samples, _ := collect(t, s)
		want(t, "there", samples, map[string]float64{"gpu_up{0}": 1, "gpu_expected{vendor=nvidia}": 1})
		b.gives(nil, ErrAbsent)
		time.Sleep(2 * time.Second)
		samples, failed := collect(t, s)
		want(t, "gone", samples, map[string]float64{
			"gpu_up{0}": 0, "gpu_expected{vendor=nvidia}": 1, "gpu_present{vendor=nvidia}": 0, "gpu_lost_total{vendor=nvidia}": 1,
			"gpu_driver_responsive{vendor=nvidia}": -1, "gpu_recommended_action{0,action=reboot,reason=card is lost}": 1, "worker_node_gpu_temperature_celsius{0}": -1,
		})
		if !strings.Contains(failed["gpu_nvidia"], "1 GPUs were here and there are none now") {
			t.Errorf("%v", failed)
		}
		stop()
	})
}

func TestOldReadingIsNotExported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a")
		hold := make(chan struct{})
		held := false
		s, stop := start(t, Options{Backends: []Backend{b}, OnReading: func(string, time.Time, []Device) {
			if !held {
				held = true
				<-hold // somebody holds the sampler up
			}
		}})
		time.Sleep(7 * time.Second)
		samples, failed := collect(t, s)
		want(t, "late", samples, map[string]float64{"gpu_up{0}": 1})
		if failed["gpu_nvidia"] != "the last reading is 7s old" {
			t.Errorf("%v", failed)
		}
		time.Sleep(6 * time.Second)
		samples, _ = collect(t, s)
		want(t, "stale", samples, map[string]float64{"gpu_up{0}": -1, "gpu_expected{vendor=nvidia}": 1})
		close(hold)
		stop()
	})
}

// TestSumsOverAGap: what lies further back than three intervals is not made up.
func TestSumsOverAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia")
		device := b.device(0, "a")
		device.ThrottleKnown, device.Throttles = true, []Throttle{ThrottleThermal}
		b.gives([]Device{device}, nil)
		s, stop := start(t, Options{Backends: []Backend{b}})
		time.Sleep(10*time.Second + 500*time.Millisecond)
		samples, _ := collect(t, s)
		want(t, "ten seconds", samples, map[string]float64{"gpu_energy_joules_total{0}": 1000, "gpu_throttled_seconds_total{0,reason=thermal}": 10})
		release := make(chan struct{})
		b.answers(func(context.Context) (Reading, error) { <-release; return Reading{Devices: []Device{device}}, nil })
		time.Sleep(time.Hour)
		close(release)
		synctest.Wait()
		samples, _ = collect(t, s)
		want(t, "after the gap", samples, map[string]float64{"gpu_energy_joules_total{0}": 1300, "gpu_throttled_seconds_total{0,reason=thermal}": 13})
		time.Sleep(time.Second)
		samples, _ = collect(t, s)
		want(t, "and on", samples, map[string]float64{"gpu_energy_joules_total{0}": 1350, "gpu_throttled_seconds_total{0,reason=thermal}": 13.5})
		stop()
	})
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"twice":    {Backends: []Backend{newStub("nvidia"), newStub("nvidia")}},
		"nil":      {Backends: []Backend{nil}},
		"nameless": {Backends: []Backend{newStub("")}},
		"negative": {Expected: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
