package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"syscall"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const (
	// maxPorts bounds the adapters that are read and the ports that are exported.
	maxPorts = 64
	// maxOpenPorts is how many ports keep their files open between samples, up to 40 each.
	maxOpenPorts = 16
)

// infinibandReader reads the InfiniBand and RoCE ports in /sys/class/infiniband
// (https://docs.kernel.org/admin-guide/abi-stable.html). Most of these files are read from the adapter's firmware, which may not
// answer: an adapter that hangs loses only its own ports.
type infinibandReader struct {
	*hostFS

	dir      string
	adapters map[string]*adapter
	hangs    hangGuard[error]
}

// adapter is a device with its ports. The goroutine that reads it owns it until the read returns.
type adapter struct {
	*hostFS

	name  string
	reads int // since the ports were listed
	ports []*port
	buf   []byte
}

func newInfiniBandReader(r *hostFS) *infinibandReader {
	return &infinibandReader{hostFS: r, dir: r.path("sys", "class", "infiniband"), adapters: map[string]*adapter{}}
}

func (ib *infinibandReader) read(context.Context) ([]sample, error) {
	names, err := ib.listNames(ib.dir)
	if err != nil {
		return nil, err
	}
	ib.forget(names)
	var errs []error
	var ports []*port
	full := false
	for _, name := range names {
		a := ib.adapters[name]
		if a == nil {
			if len(ib.adapters) == maxPorts {
				full = true
				continue
			}
			a = &adapter{hostFS: ib.hostFS, name: name}
			ib.adapters[name] = a
		}
		once := len(ports) >= maxOpenPorts
		err, ok := ib.hangs.call(name, func() error { return a.read(once) })
		if !ok {
			errs = append(errs, fmt.Errorf("%s hangs", ib.path("sys", "class", "infiniband", name)))
			continue
		}
		if err != nil {
			errs = append(errs, err)
		}
		fit := min(len(a.ports), maxPorts-len(ports))
		full = full || fit < len(a.ports)
		ports = append(ports, a.ports[:fit]...)
	}
	if full {
		errs = append(errs, fmt.Errorf("there are more than %d InfiniBand adapters or ports: the rest is left out", maxPorts))
	}
	if len(ports) == 0 && len(errs) == 0 {
		return nil, errAbsent
	}
	return exportPorts(ports), joinErrors(errs)
}

// forget drops the adapters that are gone.
func (ib *infinibandReader) forget(names []string) {
	for name, a := range ib.adapters {
		if slices.Contains(names, name) {
			continue
		}
		delete(ib.adapters, name)
		if _, hung := ib.hangs.hung[name]; !hung {
			a.close()
		}
	}
}

// exportPorts turns what was read into samples, metric after metric.
func exportPorts(ports []*port) []sample {
	n := 0
	for _, p := range ports {
		n += 6 + len(p.errors)
	}
	samples := make([]sample, 0, n)
	add := func(known bool, metric *catalog.Metric, value float64, labels exposition.Labels) {
		if known {
			samples = append(samples, sample{metric, value, labels})
		}
	}
	for _, p := range ports {
		add(p.state != "", &catalog.WorkerNodeInfiniBandPortState, 1, p.stateLabels)
	}
	for _, p := range ports {
		add(p.upKnown, &catalog.WorkerNodeInfiniBandPortUp, boolValue(p.up), p.labels)
	}
	for _, p := range ports {
		add(p.bytesPerSecond > 0, &catalog.WorkerNodeInfiniBandRate, p.bytesPerSecond, p.labels)
	}
	for _, p := range ports {
		add(p.received.known, &catalog.WorkerNodeInfiniBandReceived, p.received.value, p.labels)
	}
	for _, p := range ports {
		add(p.transmitted.known, &catalog.WorkerNodeInfiniBandTransmitted, p.transmitted.value, p.labels)
	}
	for _, p := range ports {
		for i := range p.errors {
			add(p.errors[i].known, &catalog.WorkerNodeInfiniBandErrors, p.errors[i].value, p.errors[i].labels)
		}
	}
	for _, p := range ports {
		add(p.downed.known, &catalog.WorkerNodeInfiniBandLinkDowned, p.downed.value, p.labels)
	}
	return samples
}

// read reads all ports. Files of an adapter that went away meanwhile are absent; its ports are listed anew next time.
func (a *adapter) read(once bool) error {
	if a.reads%rareEvery == 0 {
		if err := a.list(once); err != nil {
			return err
		}
	}
	if len(a.ports) == 0 {
		return nil
	}
	a.reads++
	var errs []error
	for _, p := range a.ports {
		if err := p.read(&a.buf); isGone(err) {
			a.reads = 0
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	return joinErrors(errs)
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) }

// list finds the ports of an adapter and the counters that each of them has.
func (a *adapter) list(once bool) error {
	a.close()
	names, err := a.listNames(a.path("sys", "class", "infiniband", a.name, "ports"))
	if err != nil || !isDeviceName([]byte(a.name)) {
		return err
	}
	var numbers []int
	for _, name := range names {
		if n, err := strconv.ParseUint(name, 10, 16); err == nil {
			numbers = append(numbers, int(n))
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers[:min(len(numbers), maxPorts)] {
		a.ports = append(a.ports, a.newPort(strconv.Itoa(n), once))
	}
	return nil
}

func (a *adapter) close() {
	for _, p := range a.ports {
		for file := range p.files() {
			file.close()
		}
	}
	a.ports = nil
}
