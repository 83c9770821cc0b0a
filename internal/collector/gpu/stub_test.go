package gpu

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// stub is a backend whose answers a test chooses.
type stub struct {
	vendor string
	least  time.Duration

	mu     sync.Mutex
	read   func(ctx context.Context) (Reading, error)
	watch  func(ctx context.Context, report func(Event)) error // nil: until ctx ends
	report func(Event)
	reads  int
	closed int
}

func newStub(vendor string, devices ...string) *stub {
	s := &stub{vendor: vendor}
	s.have(devices...)
	return s
}

func (s *stub) Vendor() string { return s.vendor }

func (s *stub) MinInterval() time.Duration { return s.least }

func (s *stub) Read(ctx context.Context) (Reading, error) {
	s.mu.Lock()
	s.reads++
	read := s.read
	s.mu.Unlock()
	return read(ctx)
}

func (s *stub) Watch(ctx context.Context, report func(Event)) error {
	s.mu.Lock()
	s.report = report
	watch := s.watch
	s.mu.Unlock()
	if watch != nil {
		return watch(ctx, report)
	}
	<-ctx.Done()
	return nil
}

func (s *stub) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

func (s *stub) answers(read func(ctx context.Context) (Reading, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = read
}

func (s *stub) gives(devices []Device, err error) {
	s.answers(func(context.Context) (Reading, error) { return Reading{Devices: devices}, err })
}

// have gives GPUs by name: "a" is at index 0 with UUID a, the next at index 1 ...
func (s *stub) have(uuids ...string) {
	var devices []Device
	for i, uuid := range uuids {
		devices = append(devices, s.device(i, uuid))
	}
	s.gives(devices, nil)
}

func (s *stub) device(index int, uuid string) Device {
	name := "X1"
	if s.vendor != "nvidia" {
		name = s.vendor
	}
	return Device{
		Identity:    Identity{Vendor: s.vendor, Index: fmt.Sprint(index), Chip: "0", Name: name, UUID: uuid, PCI: fmt.Sprintf("0000:%02x:00.0", uuid[0])},
		Temperature: Known(50), PowerUsed: Known(100),
	}
}

func (s *stub) count() (reads, closed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads, s.closed
}

func (s *stub) reports(e Event) {
	s.mu.Lock()
	report := s.report
	s.mu.Unlock()
	report(e)
}

// logged keeps log lines.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// having counts the lines with text.
func (l *logged) having(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// start runs a set until the returned function is called.
func start(t *testing.T, o Options) (*Set, func()) {
	t.Helper()
	if o.Root == "" {
		o.Root = t.TempDir()
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	synctest.Wait()
	return s, func() {
		cancel()
		<-done
	}
}

// collect returns the samples by series, without prefix, and what was wrong by collector. Names that have no prefix begin with "bare ".
func collect(t *testing.T, s *Set) (samples map[string]float64, failed map[string]string) {
	t.Helper()
	samples, failed = map[string]float64{}, map[string]string{}
	for _, c := range s.Collectors() {
		var order []string
		took, err := c.Collect(func(m *catalog.Metric, suffix string, v float64, labels exposition.Labels) {
			name, prefixed := strings.CutPrefix(m.WireName(), catalog.Prefix)
			if !prefixed {
				name = "bare " + name
			}
			series := name + suffix + "{" + string(labels) + "}"
			series = strings.ReplaceAll(series, `gpu_name="`+c.sampler.vendor+`"`, `gpu_name="X1"`)
			if len(s.samplers) > 1 && c.sampler.vendor != "nvidia" {
				series = strings.ReplaceAll(series, "gpu_index=", c.sampler.vendor+" ")
			}
			series = strings.NewReplacer(`,gpu_name="X1",gpu_chip_index="0"`, "", "gpu_index=", "", `"`, "").Replace(series)
			if _, twice := samples[series]; twice {
				t.Errorf("%s twice", series)
			}
			samples[series] = v
			if len(order) == 0 || order[len(order)-1] != m.Name {
				order = append(order, m.Name)
			}
		})
		if n := len(order); n != len(slices.Compact(slices.Sorted(slices.Values(order)))) {
			t.Errorf("%s: a family comes twice: %v", c.Name(), order)
		}
		switch {
		case took < 0 && err != nil:
			t.Errorf("%s: no reading, and %v", c.Name(), err)
		case took < 0:
			failed[c.Name()] = "none"
		case err != nil:
			failed[c.Name()] = err.Error()
		}
	}
	return samples, failed
}

// want compares some samples; a value below 0 says that the series must not be there.
func want(t *testing.T, step string, samples, wanted map[string]float64) {
	t.Helper()
	for series, v := range wanted {
		got, ok := samples[series]
		switch {
		case v < 0 && ok:
			t.Errorf("%s: %s is %v, want none", step, series, got)
		case v >= 0 && !ok:
			t.Errorf("%s: no %s, want %v", step, series, v)
		case v >= 0 && got != v:
			t.Errorf("%s: %s is %v, want %v", step, series, got, v)
		}
	}
}

// root makes a machine's file system with a kernel log, booted seconds ago.
func machine(t *testing.T, boot string, uptime float64, log ...string) string {
	t.Helper()
	root := t.TempDir()
	reboot(t, root, boot, uptime, log...)
	return root
}

func reboot(t *testing.T, root, boot string, uptime float64, log ...string) {
	t.Helper()
	for path, text := range map[string]string{
		"proc/sys/kernel/random/boot_id": boot + "\n", "proc/uptime": fmt.Sprintf("%.2f 1.00\n", uptime),
		"dev/kmsg": strings.Join(log, ""),
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// xid is a record of the kernel log, with a dictionary line behind it as real ones have.
func xid(seq int, seconds float64, bus, code string) string {
	return fmt.Sprintf("3,%d,%d,-;NVRM: Xid (PCI:0000:%s:00): %s, pid=4711, name=python3\n SUBSYSTEM=pci\n", seq, int(seconds*1e6), bus, code)
}

func appendLog(t *testing.T, root string, records ...string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(root, "dev/kmsg"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.Join(records, "")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
