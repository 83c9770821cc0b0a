//go:build linux && cgo

package nvidia

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// events is a driver's event set: what is told is heard if its GPU is registered.
type events struct {
	sync.Mutex // for all but told

	told        chan nvml.EventData
	registered  map[nvml.Device]uint64
	sets, freed int
	failing     nvml.Return // of each wait
	lost        map[nvml.Device]bool
}

func watchable(s *server.Server, devices ...*server.Device) *events {
	e := &events{told: make(chan nvml.EventData, 10), registered: map[nvml.Device]uint64{}, lost: map[nvml.Device]bool{}}
	for _, d := range devices {
		d.GetSupportedEventTypesFunc = answer(uint64(nvml.EventTypeAll))
		d.RegisterEventsFunc = func(types uint64, _ nvml.EventSet) nvml.Return {
			e.Lock()
			defer e.Unlock()
			if e.lost[d] {
				return nvml.ERROR_GPU_IS_LOST
			}
			e.registered[d] = types
			return nvml.SUCCESS
		}
	}
	s.EventSetCreateFunc = func() (nvml.EventSet, nvml.Return) {
		e.Lock()
		defer e.Unlock()
		e.sets++
		clear(e.registered)
		return &mock.EventSet{
			FreeFunc: func() nvml.Return {
				e.Lock()
				defer e.Unlock()
				e.freed++
				return nvml.SUCCESS
			},
			WaitFunc: func(ms uint32) (nvml.EventData, nvml.Return) {
				e.Lock()
				failing := e.failing
				e.Unlock()
				if failing != nvml.SUCCESS {
					return nvml.EventData{}, failing
				}
				select {
				case data := <-e.told:
					return data, nvml.SUCCESS
				case <-time.After(time.Duration(ms) * time.Millisecond):
					return nvml.EventData{}, nvml.ERROR_TIMEOUT
				}
			},
		}, nvml.SUCCESS
	}
	return e
}

// watching runs a watch beside a test and returns what it has reported, and a function that ends it and takes its error.
func watching(t *testing.T, b *Backend) (got *[]gpu.Event, end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	got = new([]gpu.Event)
	ended := make(chan error, 1)
	go func() { ended <- b.Watch(ctx, func(e gpu.Event) { *got = append(*got, e) }) }()
	return got, func() error {
		cancel()
		return <-ended
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := a100()
		devices := devicesOf(s, 3)
		furnish(devices[0], 0)
		e := watchable(s, devices[0], devices[1]) // the third has no events
		third := s.Devices[2]
		s.Devices = s.Devices[:1]
		b := newBackend(s, Options{})
		read(t, b)
		got, end := watching(t, b)
		e.told <- nvml.EventData{Device: devices[0], EventType: nvml.EventTypeXidCriticalError, EventData: 79}
		e.told <- nvml.EventData{Device: devices[0], EventType: nvml.EventTypeXidCriticalError, EventData: 79}
		e.told <- nvml.EventData{Device: devices[0], EventType: nvml.EventTypeClock, EventData: 1}
		time.Sleep(3 * time.Second)

		s.Devices = []nvml.Device{devices[0], devices[1], third} // two GPUs come
		read(t, b)
		time.Sleep(3 * time.Second)
		e.told <- nvml.EventData{Device: devices[1], EventType: nvml.EventTypeDoubleBitEccError}
		e.told <- nvml.EventData{Device: &mock.Device{GetUUIDFunc: answer("GPU-other")}, EventType: nvml.EventTypeSingleBitEccError}
		time.Sleep(time.Second)
		start := time.Now()
		if err := end(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > waitForEvent {
			t.Errorf("the watch ended after %s", took)
		}

		zero := gpu.Identity{UUID: "GPU-5d3c0f5a-0000-4000-8000-000000000000", PCI: "0000:1b:00.0"}
		want := []gpu.Event{
			{Vendor: "nvidia", UUID: zero.UUID, PCI: zero.PCI, Kind: "xid", Code: "79", Source: "driver"},
			{Vendor: "nvidia", UUID: zero.UUID, PCI: zero.PCI, Kind: "xid", Code: "79", Source: "driver"},
			{Vendor: "nvidia", UUID: "GPU-5d3c0f5a-0000-4000-8000-000000000001", PCI: "0000:2b:00.0", Kind: "ecc", Code: "uncorrected", Source: "driver"},
			{Vendor: "nvidia", UUID: "GPU-other", Kind: "ecc", Code: "corrected", Source: "driver"},
		}
		for i, event := range *got {
			if event.At.IsZero() {
				t.Errorf("%+v has no time", event)
			}
			(*got)[i].At = time.Time{}
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if types := e.registered[devices[1]]; types != watchedEvents {
			t.Errorf("registered for %#x, want %#x", types, watchedEvents)
		}
		if e.sets != 1 || e.freed != 1 {
			t.Errorf("%d sets were made and %d freed, want one", e.sets, e.freed)
		}
		if calls := len(devices[2].GetSupportedEventTypesCalls()); calls != 1 {
			t.Errorf("a GPU without events was asked %d times", calls)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestWatchBesideLostGPU: a lost GPU makes each wait fail; a new set leaves it out, without a loop that spins, and it is
// heard again when it is back.
func TestWatchBesideLostGPU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := a100()
		devices := devicesOf(s, 2)
		e := watchable(s, devices...)
		b := newBackend(s, Options{})
		read(t, b)
		got, end := watching(t, b)
		time.Sleep(time.Second)
		e.Lock()
		e.failing, e.lost[devices[0]] = nvml.ERROR_GPU_IS_LOST, true
		e.Unlock()
		time.Sleep(10 * time.Second)
		e.Lock()
		if e.sets < 2 || e.sets > 12 || e.freed < e.sets-1 {
			t.Errorf("%d sets were made and %d freed in 10 s", e.sets, e.freed)
		}
		e.failing = nvml.SUCCESS
		e.Unlock()
		e.told <- nvml.EventData{Device: devices[1], EventType: nvml.EventTypeXidCriticalError, EventData: 31}
		time.Sleep(3 * time.Second)
		e.Lock()
		delete(e.lost, devices[0])
		e.Unlock()
		time.Sleep(registerAgain + 3*time.Second)
		e.told <- nvml.EventData{Device: devices[0], EventType: nvml.EventTypeXidCriticalError, EventData: 48}
		time.Sleep(time.Second)
		if err := end(); err != nil {
			t.Error(err)
		}
		if _, ok := e.registered[devices[0]]; !ok {
			t.Error("the GPU that came back is not registered")
		}
		if len(*got) != 2 || (*got)[0].Code != "31" || (*got)[1].Code != "48" {
			t.Errorf("got %+v", *got)
		}
	})
}

func TestWatchAfterReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := a100()
		devices := devicesOf(s, 1)
		e := watchable(s, devices...)
		b := newBackend(s, Options{})
		read(t, b)
		got, end := watching(t, b)
		time.Sleep(time.Second)
		count, calls := s.DeviceGetCountFunc, 0
		s.DeviceGetCountFunc = func() (int, nvml.Return) {
			if calls++; calls == 1 {
				return 0, nvml.ERROR_UNINITIALIZED
			}
			return count()
		}
		read(t, b)
		time.Sleep(3 * time.Second)
		e.told <- nvml.EventData{Device: devices[0], EventType: nvml.EventTypeXidCriticalError, EventData: 13}
		time.Sleep(time.Second)
		if err := end(); err != nil {
			t.Error(err)
		}
		if len(*got) != 1 || e.sets != 2 || e.freed != 1 {
			t.Errorf("got %+v from %d sets, of which %d were freed", *got, e.sets, e.freed)
		}
	})
}

func TestNoEvents(t *testing.T) {
	s := a100()
	s.EventSetCreateFunc = func() (nvml.EventSet, nvml.Return) { return nil, nvml.ERROR_NOT_SUPPORTED }
	b := newBackend(s, Options{})
	read(t, b)
	if err := b.Watch(t.Context(), func(gpu.Event) {}); err == nil {
		t.Error("a driver without events is watched")
	}
}

// TestCloseBesideWatch: the library is not closed under a call that hangs.
func TestCloseBesideWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := a100()
		devices := devicesOf(s, 1)
		watchable(s, devices...)
		hang := make(chan struct{})
		s.EventSetCreateFunc = func() (nvml.EventSet, nvml.Return) { <-hang; return nil, nvml.ERROR_NOT_SUPPORTED }
		b := newBackend(s, Options{})
		read(t, b)
		_, end := watching(t, b)
		synctest.Wait()
		if err := b.Close(); err == nil || len(s.ShutdownCalls()) != 0 {
			t.Errorf("closed with %v and %d calls of Shutdown under a call of the driver", err, len(s.ShutdownCalls()))
		}
		close(hang)
		if err := end(); err == nil {
			t.Error("want an error")
		}
	})
}
