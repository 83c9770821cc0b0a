package smitest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
	"github.com/stackscope/stackscope/internal/exposition"
)

var update = flag.Bool("update", false, "write the golden files")

// readings are enough for a backend that asks for its details in turn.
const readings = 20

// Files are recorded runs of a tool, one a file testdata/<case><end>.
type Files struct {
	Tool string
	// Ends are the ends of the files' names by the tool's arguments.
	Ends map[string]string
}

// Play runs the tool of a case. What the case has no file of is gpu.ErrAbsent; other commands fail.
func (f Files) Play(name string) smi.Runner {
	return func(_ context.Context, called string, args ...string) ([]byte, error) {
		end, ok := f.Ends[strings.Join(args, " ")]
		if called != f.Tool || !ok {
			return nil, fmt.Errorf("%s %s: not a command of this tool", called, args)
		}
		out, err := os.ReadFile(filepath.Join("testdata", name+end))
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s %s: %w", called, args, gpu.ErrAbsent)
		}
		return out, err
	}
}

// Instead plays a case with another output of one command.
func (f Files) Instead(name, command string, out []byte, err error) smi.Runner {
	play := f.Play(name)
	return func(ctx context.Context, called string, args ...string) ([]byte, error) {
		if strings.Join(args, " ") == command {
			return out, err
		}
		return play(ctx, called, args...)
	}
}

// Fixture reads a file in testdata.
func Fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	out, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func names(tb testing.TB, end string) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*"+end))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no fixtures *%s: %v", end, err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), end)
	}
	return files
}

// Read reads until the backend has asked for all that it knows to ask.
func Read(t *testing.T, b gpu.Backend) gpu.Reading {
	t.Helper()
	var r gpu.Reading
	for range readings {
		var err error
		if r, err = b.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// Goldens compares what the cases' backends read with the golden files; -update writes them. The cases are found by the file
// of a command that each of them has.
func (f Files) Goldens(t *testing.T, command string, open func(smi.Runner) gpu.Backend) {
	t.Helper()
	for _, name := range names(t, f.Ends[command]) {
		t.Run(name, func(t *testing.T) { golden(t, name, open(f.Play(name))) })
	}
}

// Goldens is the same for the cases that Recorded reads.
func Goldens(t *testing.T, open func(smi.Runner) gpu.Backend) {
	t.Helper()
	for _, name := range names(t, recordings) {
		t.Run(name, func(t *testing.T) { golden(t, name, open(Recorded(t, name).Run)) })
	}
}

func golden(t *testing.T, name string, b gpu.Backend) {
	t.Helper()
	page := Page(Read(t, b).Devices)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, page, 0o644); err != nil { //nolint:gosec // a file of the repository
			t.Fatal(err)
		}
	}
	if want := Fixture(t, name+".golden"); !bytes.Equal(want, page) {
		t.Errorf("%s (-golden +got, -update writes it):\n%s", file, cmp.Diff(string(want), string(page)))
	}
}

// Missing tests a backend whose tool is not there.
func Missing(t *testing.T, vendor string, open func(smi.Runner) gpu.Backend) {
	t.Helper()
	b := open(func(_ context.Context, name string, _ ...string) ([]byte, error) {
		return nil, fmt.Errorf("%s: %w", name, gpu.ErrAbsent)
	})
	if r, err := b.Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) || len(r.Devices) > 0 {
		t.Errorf("got %v, %v, want gpu.ErrAbsent", r, err)
	}
	if b.Vendor() != vendor || b.MinInterval() != smi.Interval || b.Close() != nil {
		t.Errorf("vendor %q, at least %s between readings", b.Vendor(), b.MinInterval())
	}
}

// Stuck tests a backend whose tool answers up to a command and then no more, until it is killed at the end of the reading's
// budget: the GPUs that were read by then are returned beside the error. Call it in a synctest bubble.
func Stuck(t *testing.T, run smi.Runner, command string, open func(smi.Runner) gpu.Backend) {
	t.Helper()
	b := open(func(ctx context.Context, name string, args ...string) ([]byte, error) {
		if strings.Join(args, " ") != command {
			return run(ctx, name, args...)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	r, err := b.Read(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || len(r.Devices) == 0 {
		t.Errorf("got %d GPUs, %v", len(r.Devices), err)
	}
}

// Page is what a worker exports of devices.
func Page(devices []gpu.Device) []byte {
	var w exposition.Writer
	gpu.WriteReading(&w, gpu.Reading{Devices: devices})
	return w.Bytes()
}

// Numbers are the samples of a page that are no identity.
func Numbers(page []byte) map[string]bool {
	lines := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "# ") && !strings.Contains(line, "_info{") {
			lines[line] = true
		}
	}
	return lines
}

// Values lets go-cmp compare devices.
func Values() cmp.Option { return cmp.Comparer(func(a, b gpu.Value) bool { return a == b }) }

// CheckDevice fails if a fuzzed output gave a device that cannot be.
func CheckDevice(tb testing.TB, d *gpu.Device) {
	tb.Helper()
	if d.Vendor == "" || d.Index == "" || d.Chip == "" || d.Name == "" {
		tb.Errorf("identity %+v", d.Identity)
	}
	if u, ok := d.Utilization.Get(); ok && !(u >= 0 && u <= 1) {
		tb.Errorf("utilization %v", u)
	}
	for _, p := range d.Processes {
		if p.PID <= 0 {
			tb.Errorf("process %+v", p)
		}
	}
}
