//go:build linux && cgo

package nvidia

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/logging"
	_ "github.com/stackscope/stackscope/internal/base/oldglibc" // go-nvml makes this a program with C
	"github.com/stackscope/stackscope/internal/collector/gpu"
)

const (
	// openAgain is the pause after which a library or driver that could not be opened is tried again.
	openAgain = 30 * time.Second
	// maxDevices bounds the GPUs of a machine, maxKept those that are remembered besides.
	maxDevices = 128
	maxKept    = 256
)

var (
	_ gpu.Backend = (*Backend)(nil)
	_ gpu.Watcher = (*Backend)(nil)
)

// Backend reads the GPUs of one machine. The library is opened by the first Read and let go by Close alone: opening it costs
// up to seconds on GPUs that nothing else keeps awake.
type Backend struct {
	lib    nvml.Interface
	logger *slog.Logger

	inits    int // successful calls of Init, each of which wants its Shutdown
	open     bool
	openErr  error
	tryAgain time.Time
	driver   string
	lacks    [questions]bool // functions that this version of the library does not have

	slots   []*device          // by index
	known   map[string]*device // by UUID
	seen    bool               // there has been a GPU
	request *nvml.GpmMetricsGetType

	mu       sync.Mutex // held for copying only, never in a call of the driver
	watched  []watched
	epoch    int // counts the times that the library was opened
	watching sync.WaitGroup
}

// New makes a Backend. It calls nothing yet.
func New(o Options) *Backend { return newBackend(nvml.New(), o) }

func newBackend(lib nvml.Interface, o Options) *Backend {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	logger := o.Logger.With(logging.KeyComponent, "gpu", "vendor", vendor)
	return &Backend{lib: lib, logger: logger, known: map[string]*device{}, request: new(nvml.GpmMetricsGetType)}
}

// Vendor returns the value of label vendor.
func (*Backend) Vendor() string { return vendor }

// MinInterval returns 0: the driver answers at any rate, and Backend itself asks less often what is dear.
func (*Backend) MinInterval() time.Duration { return 0 }

// Read reads all GPUs. Beside the GPUs that could be read it returns an error about those, and about their chief values,
// that could not.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	if err := b.ensureOpen(); err != nil {
		return gpu.Reading{}, err
	}
	reading, err := b.readAll(ctx)
	if !errors.Is(err, errReloaded) {
		return reading, err
	}
	b.logger.Info("driver_reloaded")
	b.forget()
	if err := b.ensureOpen(); err != nil {
		return gpu.Reading{}, err
	}
	return b.readAll(ctx)
}

// errReloaded says that the library has lost its session, as it does when the driver under it is reloaded.
var errReloaded = errors.New("the NVIDIA driver was reloaded")

func (b *Backend) ensureOpen() error {
	if b.open {
		return nil
	}
	now := time.Now()
	if b.openErr != nil && now.Before(b.tryAgain) {
		return b.openErr
	}
	if ret := b.lib.Init(); ret != nvml.SUCCESS && ret != nvml.ERROR_ALREADY_INITIALIZED {
		b.openErr, b.tryAgain = openError(ret), now.Add(openAgain)
		return b.openErr
	}
	b.inits++
	b.open, b.openErr = true, nil
	for q, symbol := range symbols {
		b.lacks[q] = symbol != "" && b.lib.Extensions().LookupSymbol(symbol) != nil
	}
	b.driver, _ = b.lib.SystemGetDriverVersion()
	b.mu.Lock()
	b.epoch++
	b.mu.Unlock()
	return nil
}

func openError(ret nvml.Return) error {
	switch ret {
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return fmt.Errorf("libnvidia-ml.so.1: %w", gpu.ErrAbsent)
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return errors.New("the NVIDIA driver is not loaded: load its kernel module (modprobe nvidia) or, in a container, give it the GPUs (--gpus all)")
	case nvml.ERROR_NO_PERMISSION:
		return errors.New("the NVIDIA driver refuses this user: let it read and write /dev/nvidiactl and /dev/nvidia0 and on")
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return errors.New("the NVIDIA library and kernel module are of different versions, as after an upgrade: reboot, or reload the module and restart this program")
	}
	return fmt.Errorf("the NVIDIA library cannot be opened: %w (code %d): see nvidia-smi and the kernel log", ret, int(ret))
}

// forget drops all that belongs to a session of the library. Samples of the old session are not freed: the library that made
// them no longer knows them.
func (b *Backend) forget() {
	b.open = false
	clear(b.known)
	for _, c := range b.slots {
		if c != nil {
			c.handle = nil
		}
	}
	b.publish()
}

func (b *Backend) readAll(ctx context.Context) (gpu.Reading, error) {
	count, ret := b.lib.DeviceGetCount()
	switch {
	case ret == nvml.ERROR_UNINITIALIZED || ret == nvml.ERROR_DRIVER_NOT_LOADED:
		return gpu.Reading{}, errReloaded
	case ret != nvml.SUCCESS:
		return gpu.Reading{}, fmt.Errorf("NVIDIA GPUs cannot be counted: %w (code %d): see nvidia-smi and the kernel log", ret, int(ret))
	case count == 0 && !b.seen:
		return gpu.Reading{}, fmt.Errorf("the NVIDIA driver lists none: %w", gpu.ErrAbsent)
	}
	count = min(count, maxDevices)
	before := b.slots
	b.slots = make([]*device, count)
	reading := gpu.Reading{Devices: make([]gpu.Device, 0, count)}
	var errs []error
	for i := range count {
		if ctx.Err() != nil {
			b.slots = before
			return gpu.Reading{}, ctx.Err()
		}
		var last *device
		if i < len(before) {
			last = before[i]
		}
		device, err := b.readDevice(i, last)
		if errors.Is(err, errReloaded) {
			b.slots = before
			return gpu.Reading{}, err
		}
		if err != nil {
			errs = append(errs, err)
		}
		if device.Name != "" {
			reading.Devices = append(reading.Devices, device)
		}
	}
	b.prune()
	b.publish()
	return reading, errors.Join(errs...)
}

// readDevice reads the GPU with an index, where last is the GPU that had it before, or nil. A GPU that cannot be reached is
// returned with its last identity or, if it was never seen, not at all.
func (b *Backend) readDevice(index int, last *device) (gpu.Device, error) {
	handle, ret := b.lib.DeviceGetHandleByIndex(index)
	if ret == nvml.ERROR_UNINITIALIZED {
		return gpu.Device{}, errReloaded
	}
	if ret != nvml.SUCCESS {
		return b.unreachable(index, last, ret)
	}
	c := last
	if c == nil || c.handle != handle {
		uuid, ret := handle.GetUUID()
		if ret == nvml.ERROR_UNINITIALIZED {
			return gpu.Device{}, errReloaded
		}
		if ret != nvml.SUCCESS {
			return b.unreachable(index, last, ret)
		}
		if c = b.known[uuid]; c == nil {
			c = newDevice(b, uuid)
			b.known[uuid] = c
		}
		c.handle = handle
	}
	c.id.Index, c.id.Driver = strconv.Itoa(index), b.driver
	b.slots[index] = c
	device, err := c.read()
	b.seen = b.seen || device.Name != ""
	return device, err
}

func (b *Backend) unreachable(index int, last *device, ret nvml.Return) (gpu.Device, error) {
	err := fmt.Errorf("NVIDIA GPU %d cannot be reached: %w (code %d): see nvidia-smi and the kernel log for its XID", index, ret, int(ret))
	if last == nil {
		return gpu.Device{}, err
	}
	b.slots[index] = last
	if last.id.Name == "" {
		return gpu.Device{}, err
	}
	return gpu.Device{Identity: last.id, Lost: true}, err
}

// prune bounds the memory for GPUs that are no longer listed.
func (b *Backend) prune() {
	if len(b.known) <= maxKept {
		return
	}
	for uuid, c := range b.known {
		if !slices.Contains(b.slots, c) {
			c.freeSamples()
			delete(b.known, uuid)
		}
	}
}

// Close lets go of the library. If a Watch still runs then the library is left open, since the driver may be in a call.
func (b *Backend) Close() error {
	if !lifecycle.WaitWithin(2*waitForEvent, &b.watching) {
		return errors.New("the NVIDIA library is left open: it still waits for events")
	}
	for _, c := range b.known {
		c.freeSamples()
	}
	var err error
	for ; b.inits > 0; b.inits-- {
		if ret := b.lib.Shutdown(); ret != nvml.SUCCESS && ret != nvml.ERROR_UNINITIALIZED {
			err = fmt.Errorf("the NVIDIA library cannot be closed: %w (code %d)", ret, int(ret))
		}
	}
	b.forget()
	return err
}
