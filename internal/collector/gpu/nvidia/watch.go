//go:build linux && cgo

package nvidia

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// waitForEvent bounds one wait, so that a watch ends soon after its context.
const waitForEvent = time.Second

// registerAgain is the pause after which a GPU is tried again that could not be watched, as lost ones cannot.
const registerAgain = time.Minute

// watchedEvents are the events that count. Changes of clocks and power states are none.
const watchedEvents = nvml.EventTypeXidCriticalError | nvml.EventTypeSingleBitEccError | nvml.EventTypeDoubleBitEccError

// watched is a GPU as a watch sees it.
type watched struct {
	handle    nvml.Device
	uuid, pci string
}

// publish hands the GPUs of a reading to the watch.
func (b *Backend) publish() {
	list := make([]watched, 0, len(b.slots))
	for _, c := range b.slots {
		if c != nil && c.handle != nil {
			list = append(list, watched{c.handle, c.id.UUID, c.id.PCI})
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watched = list
}

func (b *Backend) current() ([]watched, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watched, b.epoch
}

// watch is a set of events of one session of the library.
type watch struct {
	set   nvml.EventSet
	epoch int
	// tried are the GPUs that are in the set or cannot be. The time is when one is to be tried again, if it is.
	tried map[nvml.Device]time.Time
	any   bool // a GPU is in the set
}

// Watch reports errors (XID) and memory errors of all GPUs as the driver tells of them, of GPUs that come later too. It
// ends with ctx, within about a second, or with an error where the driver has no events.
func (b *Backend) Watch(ctx context.Context, report func(gpu.Event)) error {
	b.watching.Add(1)
	defer b.watching.Done()
	var w watch
	defer func() { w.free() }()
	for ctx.Err() == nil {
		devices, epoch := b.current()
		if w.set == nil || w.epoch != epoch {
			// The set of an older session is not freed: the library no longer knows it.
			set, ret := b.lib.EventSetCreate()
			switch {
			case ret == nvml.ERROR_NOT_SUPPORTED || ret == nvml.ERROR_FUNCTION_NOT_FOUND:
				return fmt.Errorf("this NVIDIA driver reports no events: %w", ret)
			case ret != nvml.SUCCESS:
				w = watch{}
				pause(ctx, waitForEvent)
				continue
			}
			w = watch{set: set, epoch: epoch, tried: map[nvml.Device]time.Time{}}
		}
		if !w.register(devices) {
			pause(ctx, waitForEvent)
			continue
		}
		data, ret := w.set.Wait(uint32(waitForEvent.Milliseconds()))
		switch ret {
		case nvml.SUCCESS:
			if e, ok := event(data, devices); ok {
				report(e)
			}
		case nvml.ERROR_TIMEOUT:
		default:
			// A lost GPU makes every wait fail at once. A new set leaves it out, so that the others are still heard.
			w.free()
			pause(ctx, waitForEvent)
		}
	}
	return nil
}

// register adds the GPUs that are not in the set yet and says whether any is.
func (w *watch) register(devices []watched) bool {
	now := time.Now()
	for _, c := range devices {
		if again, tried := w.tried[c.handle]; tried && (again.IsZero() || now.Before(again)) {
			continue
		}
		w.tried[c.handle] = time.Time{}
		supported, ret := c.handle.GetSupportedEventTypes()
		if ret == nvml.SUCCESS && supported&watchedEvents == 0 {
			continue
		}
		if ret == nvml.SUCCESS {
			ret = c.handle.RegisterEvents(supported&watchedEvents, w.set)
		}
		switch ret {
		case nvml.SUCCESS:
			w.any = true
		case nvml.ERROR_NOT_SUPPORTED:
		default:
			w.tried[c.handle] = now.Add(registerAgain)
		}
	}
	return w.any
}

func (w *watch) free() {
	if w.set != nil {
		_ = w.set.Free() // there is nothing to do about it
	}
	*w = watch{}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// event makes an Event of what the driver told. Without a GPU it is none.
func event(data nvml.EventData, devices []watched) (gpu.Event, bool) {
	e := gpu.Event{At: time.Now(), Vendor: vendor, Source: gpu.SourceDriver}
	if i := slices.IndexFunc(devices, func(c watched) bool { return c.handle == data.Device }); i >= 0 {
		e.UUID, e.PCI = devices[i].uuid, devices[i].pci
	} else if data.Device != nil {
		e.UUID, _ = data.Device.GetUUID()
	}
	switch data.EventType {
	case nvml.EventTypeXidCriticalError:
		e.Kind, e.Code = "xid", strconv.FormatUint(data.EventData, 10)
	case nvml.EventTypeSingleBitEccError:
		e.Kind, e.Code = "ecc", gpu.Corrected
	case nvml.EventTypeDoubleBitEccError:
		e.Kind, e.Code = "ecc", gpu.Uncorrected
	}
	return e, e.Kind != "" && e.UUID != ""
}
