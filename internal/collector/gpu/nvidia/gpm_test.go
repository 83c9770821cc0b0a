//go:build linux && cgo

package nvidia

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// TestSamples holds that performance samples are made once and freed.
func TestSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := h100()
		devices := devicesOf(s, 2)
		for i, d := range devices {
			furnish(d, i)
			divide(d, i)
		}
		count := performance(s, devices...)
		b := newBackend(s, Options{})
		for range 30 {
			read(t, b)
			time.Sleep(time.Second)
		}
		// Two GPUs, each with one slice that has a GPU instance for itself.
		if got := count.made.Load(); got != 8 {
			t.Errorf("%d samples were made, want 8", got)
		}
		divide(devices[0], 7) // the same instances under other names
		time.Sleep(slowEvery)
		if got := read(t, b)[0].Slices[0]; got.UUID != "MIG-5d3c0f5a-0007-4000-8000-000000000000" || got.Utilization != (gpu.Value{}) {
			t.Errorf("got %+v, want a new slice that is not compared with the old", got)
		}
		if made, freed := count.made.Load(), count.freed.Load(); made != 10 || freed != 2 {
			t.Errorf("%d samples were made and %d freed when the slices were made anew, want 10 and 2", made, freed)
		}
		devices[0].MigMode = nvml.DEVICE_MIG_DISABLE
		time.Sleep(slowEvery)
		if got := read(t, b)[0]; len(got.Slices) != 0 {
			t.Errorf("got slices %+v of a GPU that is no longer divided", got.Slices)
		}
		if got := count.freed.Load(); got != 4 {
			t.Errorf("%d samples were freed with the slices, want 4", got)
		}
		if err := b.Close(); err != nil || count.freed.Load() != 10 {
			t.Errorf("closed with %v, %d samples freed, want 10", err, count.freed.Load())
		}
	})
}

// TestSamplesOfLongAgo: two samples say something about now unless they are too close to each other or too far apart.
func TestSamplesOfLongAgo(t *testing.T) {
	for pause, want := range map[time.Duration]bool{gpmPause: true, time.Second: true, gpmMemory: true, gpmMemory + 1: false, time.Hour: false} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := h100()
				devices := devicesOf(s, 2)
				furnish(devices[0], 0)
				furnish(devices[1], 1)
				divide(devices[1], 1)
				performance(s, devices...)
				b := newBackend(s, Options{})
				check := func(when string, want bool) {
					t.Helper()
					list := read(t, b)
					_, active := list[0].SMActive.Get()
					_, receives := list[0].PCIe.Receive.Get()
					_, slice := list[1].Slices[0].Utilization.Get()
					if active != want || slice != want || want && !receives {
						t.Errorf("%s: active %t, PCIe %t, slice %t; want %t", when, active, receives, slice, want)
					}
				}
				check("first", false)
				time.Sleep(time.Second)
				check("a second later", true)
				time.Sleep(pause)
				check("after the pause", want)
				time.Sleep(time.Second)
				check("then a second later", true)
				time.Sleep(gpmPause - 1)
				check("too soon for another sample", true)
			})
		})
	}
}
