//go:build linux && cgo

package nvidia

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/exposition"
)

// libraryEnv names a library that the test binary, run again, is to read.
const libraryEnv = "STACKSCOPE_TEST_NVIDIA_LIBRARY"

// TestLibrary reads a real shared library, an old one without most functions and a later one, in a process of its own: a call
// of a function that is not there would end it.
func TestLibrary(t *testing.T) {
	if path := os.Getenv(libraryEnv); path != "" {
		readLibrary(t, path)
		return
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	for name, c := range map[string]struct {
		flags    []string
		has, not []string
	}{
		"old": {
			has: []string{`uuid="GPU-library"`, `pci_address="0000:3b:00.0",driver_version="418.226.00"`, "power_used_watts{", "} 70.5\n", "process 4242", "event xid 79 GPU-library"},
			not: []string{"memory_temperature", "sm_active"},
		},
		"later": {
			flags: []string{"-DLATER"},
			has:   []string{"memory_temperature_celsius{", "} 66\n", "gpu_sm_active_ratio{", "} 0.02\n", "gpu_pcie_receive_bytes_per_second{", "} 22020096\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			library := filepath.Join(t.TempDir(), "library.so")
			build := exec.CommandContext(t.Context(), cc, append(c.flags, "-shared", "-fPIC", "-o", library, filepath.Join("testdata", "library.c"))...)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLibrary$", "-test.v")
			child.Env = append(child.Environ(), libraryEnv+"="+library)
			out, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, want := range c.has {
				if !strings.Contains(string(out), want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			for _, not := range c.not {
				if strings.Contains(string(out), not) {
					t.Errorf("%q in\n%s", not, out)
				}
			}
		})
	}
}

func readLibrary(t *testing.T, path string) {
	t.Helper()
	b := newBackend(nvml.New(nvml.WithLibraryPath(path)), Options{})
	read(t, b)
	time.Sleep(gpmPause + 10*time.Millisecond)
	var w exposition.Writer
	gpu.WriteReading(&w, gpu.Reading{Devices: read(t, b)})
	fmt.Printf("%s", w.Bytes())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.Watch(ctx, func(e gpu.Event) { fmt.Println("event", e.Kind, e.Code, e.UUID) }); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
