package metax

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi/smitest"
)

func open(run smi.Runner) gpu.Backend { return New(Options{Run: run}) }

func TestGolden(t *testing.T) { smitest.Goldens(t, open) }

func TestMissingTool(t *testing.T) { smitest.Missing(t, "metax", open) }

func TestProcesses(t *testing.T) {
	const mib = 1 << 20
	for name, want := range map[string]map[string][]gpu.Process{
		"c550-2.1.12": {
			"0": nil,
			"2": {{PID: 3496691, Memory: gpu.Known(4066 * mib)}, {PID: 3496692, Memory: gpu.Known(102 * mib)}},
			"3": {{PID: 3496692, Memory: gpu.Known(4154 * mib)}, {PID: 3496698, Memory: gpu.Known(49900 * mib)}},
		},
		"n260-2.2.8": {"0": nil, "1": nil},
	} {
		r, err := New(Options{Run: smitest.Recorded(t, name).Run}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]gpu.Process{}
		for _, d := range r.Devices {
			got[d.Index] = d.Processes
			if !d.ProcessesKnown {
				t.Errorf("%s: the processes of GPU %s were told", name, d.Index)
			}
		}
		if diff := cmp.Diff(want, got, smitest.Values()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A part that is not as it should be costs its own GPU and nothing else.
func TestFaults(t *testing.T) {
	const file = "c500-2.3.1"
	good := smitest.Recorded(t, file).Output("mx-smi")
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the fixture", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for _, test := range []struct {
		name, out string
		devices   string // indexes of those that are read
		want      string // in the error
	}{
		{"nothing", "", "", `mx-smi: output not recognized: a row with its and the driver's version: got ""`},
		{"text", "mx-smi: command failed\n", "", "a row with its and the driver's version"},
		{"another maker's tool of that name", "│MOFFETT-SMI 2.3.0 Driver Version 3.5.2│\n", "", "a row with its and the driver's version"},
		{"no Bus-id", replace("| Bus-id              | GPU-Util", "| Address             | GPU-Util"), "", "mx-smi 2.3.1: output not recognized: the table's two header rows"},
		{"a new column", replace("GPU-Util      sGPU-M |", "GPU-Util        XYZ-M |"), "0 2 3", `the header: got "GPU-Util XYZ-M"`},
		{"a row cut off", replace("| 348W / NA        | 63C          P0 | 60982/65536 MiB     | Available            |\n", ""), "0 3", "a GPU's second row"},
		{"cells missing", replace("| 2           Off | 0000:13:00.0        |", "| 0000:13:00.0        |"), "0 3", "a GPU's first row"},
		{"a process on no GPU", replace("|  2                      2477", "|  9                      2477"), "0 2 3", "a row of a process"},
		{"another header of processes", replace("PID         Process Name", "Type PID    Process Name"), "0 2 3", "the header of the processes"},
		{"cut", good[:strings.Index(good, "| 348W / NA")], "0", "a GPU's second row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tool := smitest.Recorded(t, file)
			tool.Set("mx-smi", test.out, 0)
			r, err := New(Options{Run: tool.Run}).Read(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			var devices []string
			for _, d := range r.Devices {
				devices = append(devices, d.Index)
			}
			if got := strings.Join(devices, " "); got != test.devices {
				t.Errorf("read GPUs %q, want %q", got, test.devices)
			}
		})
	}
	t.Run("list", func(t *testing.T) {
		tool := smitest.Recorded(t, file)
		tool.Set("mx-smi -L", "nothing\n", 0)
		r, err := New(Options{Run: tool.Run}).Read(t.Context())
		if err == nil || !strings.Contains(err.Error(), "mx-smi -L: output not recognized") || len(r.Devices) != 3 {
			t.Errorf("got %d GPUs, %v", len(r.Devices), err)
		}
	})
}

// TestErrorsKeepSecrets sees that no error has what stands on a command line.
func TestErrorsKeepSecrets(t *testing.T) {
	good := smitest.Recorded(t, "c500-2.3.1").Output("mx-smi")
	const row = "|  2                      2477        python  "
	for _, out := range []string{
		strings.Replace(good, row, "|  9                      2477        sk-secret  ", 1),
		strings.Replace(good, row, "|  sk-secret                                   ", 1),
		strings.Replace(strings.Replace(good, row, "|  2                      2477        sk-secret  ", 1), "PID  ", "Id   ", 1),
		strings.Replace(strings.Replace(good, row, "|  2                      2477        sk-secret  ", 1), "| Process:  ", "| Processes ", 1),
	} {
		tool := smitest.Recorded(t, "c500-2.3.1")
		tool.Set("mx-smi", out, 0)
		r, err := open(tool.Run).Read(t.Context())
		if understood := strings.Contains(out, "| Processes "); (err == nil) != understood || strings.Contains(fmt.Sprint(err), "secret") || len(r.Devices) != 3 {
			t.Errorf("got %d GPUs, %v", len(r.Devices), err)
		}
	}
}

// TestIdentityOfRenumberedGPUs sees that a GPU keeps its UUID when the loss of another gives it another index.
func TestIdentityOfRenumberedGPUs(t *testing.T) {
	tool := smitest.Recorded(t, "n260-2.2.8")
	b := open(tool.Run)
	before := smitest.Read(t, b).Devices[1]
	out := tool.Output("mx-smi")
	head, _, _ := strings.Cut(out, "| 0       MetaX")
	second := out[strings.Index(out, "| 1       MetaX"):]
	tool.Set("mx-smi", head+strings.Replace(second, "| 1 ", "| 0 ", 1), 0)
	after := smitest.Read(t, b).Devices[0]
	if after.Index != "0" || after.PCI != before.PCI || after.UUID != before.UUID || before.UUID == "" {
		t.Errorf("got %+v, before %+v", after.Identity, before.Identity)
	}
}

// TestNoGPUs sees that a tool that lists no GPU is no such machine, unless it had some: then they are lost.
func TestNoGPUs(t *testing.T) {
	tool := smitest.Recorded(t, "n260-2.2.8")
	full := tool.Output("mx-smi")
	empty := full[:strings.Index(full, "| 0       MetaX")] + full[strings.Index(full, "| Process:"):]
	tool.Set("mx-smi", empty, 0)
	b := open(tool.Run)
	if r, err := b.Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) || len(r.Devices) > 0 {
		t.Errorf("got %v, %v, want gpu.ErrAbsent", r, err)
	}
	tool.Set("mx-smi", full, 0)
	smitest.Read(t, b)
	tool.Set("mx-smi", empty, 0)
	if r, err := b.Read(t.Context()); err != nil || len(r.Devices) > 0 {
		t.Errorf("after there were GPUs: got %v, %v, want an empty reading", r, err)
	}
}

func TestListIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tool := smitest.Recorded(t, "n260-2.2.8")
		list := tool.Output("mx-smi -L")
		tool.Set("mx-smi -L", "busy\n", 1)
		b := open(tool.Run)
		if r, err := b.Read(t.Context()); err == nil || len(r.Devices) != 2 {
			t.Errorf("got %d GPUs, %v", len(r.Devices), err)
		}
		tool.Set("mx-smi -L", list, 0)
		time.Sleep(again)
		if r, err := b.Read(t.Context()); err != nil || r.Devices[0].UUID == "" {
			t.Errorf("got %v, %v", r, err)
		}
	})
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { smitest.Stuck(t, smitest.Recorded(t, "n260-2.2.8").Run, "-L", open) })
}

func FuzzRead(f *testing.F) {
	for _, name := range smitest.Cases(f) {
		f.Add([]byte(smitest.Recorded(f, name).Output("mx-smi")))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		all := func(context.Context, string, ...string) ([]byte, error) { return out, nil }
		r, err := New(Options{Run: all}).Read(t.Context())
		if err == nil && len(r.Devices) == 0 {
			t.Error("neither GPUs nor an error")
		}
		if len(r.Devices) > maxDevices {
			t.Errorf("%d GPUs", len(r.Devices))
		}
		for _, d := range r.Devices {
			smitest.CheckDevice(t, &d)
			used, _ := d.MemoryUsed.Get()
			if total, ok := d.MemoryTotal.Get(); ok && used > total {
				t.Errorf("memory %v of %v", used, total)
			}
		}
	})
}
