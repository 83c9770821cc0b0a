package mthreads

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi/smitest"
)

// recorded are the tool's runs.
var recorded = smitest.Files{Tool: tool, Ends: map[string]string{
	"-q --json": ".query.json",
	"":          ".overview.txt",
}}

func open(run smi.Runner) gpu.Backend { return New(Options{Run: run}) }

func TestGolden(t *testing.T) { recorded.Goldens(t, "-q --json", open) }

func TestMissingTool(t *testing.T) { smitest.Missing(t, "mthreads", open) }

// TestDamagedQuery sees that output that is not whole, or not of this tool, gives an error and no GPU.
func TestDamagedQuery(t *testing.T) {
	whole := smitest.Fixture(t, "x10000.query.json")
	bad := []string{
		"", "Error: the requested operation is not available on target device\n", "[]", "{}", `{"GPU":{}}`, `{"GPU":null}`,
		`{"cards":[{"Index":"0","Product Name":"MTT S80"}]}`, `{"GPU":[null]}`, `{"GPU":[{"Index":"first","Product Name":"MTT S80"}]}`,
		`{"GPU":[{"Index":"-1","Product Name":"MTT S80"}]}`, string(whole) + "{}", "warning\n" + string(whole),
	}
	for n := 0; n < len(whole)-2; n += 7 {
		bad = append(bad, string(whole[:n]))
	}
	for _, out := range bad {
		devices, err := readDevices([]byte(out))
		if err == nil || len(devices) > 0 {
			t.Errorf("%.60q: got %d GPUs, %v", out, len(devices), err)
		} else if !strings.HasPrefix(err.Error(), tool) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q: error %q", out, err)
		}
	}
}

func TestBadGPUCostsNoOther(t *testing.T) {
	devices, err := readDevices([]byte(`{"GPU":[{"Index":"0"},{"Index":"1","Product Name":"MTT S80"},7,{"Index":"1","Product Name":"MTT S80"}]}`))
	if len(devices) != 1 || devices[0].Index != "1" || err == nil {
		t.Errorf("got %v, %v", devices, err)
	}
}

// TestUnits sees that units count, whatever a version writes, and that a number without one gives nothing.
func TestUnits(t *testing.T) {
	const form = `{"GPU":[{"Index":0,"Product Name":"MTT S4000","New":{"a":[1]},"FB Memory Usage":{"Total":"48GiB","Used":"1.5 GiB"},
		"Utilization":{"Gpu":"101%"},"Temperature":{"GPU Current Temp":"61"},"Power Readings":{"Power Draw ":"153590mW","Current Power Limit":"0W"},
		"Clocks":{"Graphics":"1.6GHz","Memory":2003},"PCI":{"Bus ID":"nowhere","GPU Link Info":{"Link Width":{"Current":"16"}}},
		"Retired Pages":{"Single Bit ECC":"3","Double Bit ECC":"1","Pending Page Blacklist":"Yes"}}]}`
	devices, err := readDevices([]byte(form))
	want := []gpu.Device{{
		Identity:    gpu.Identity{Vendor: vendor, Index: "0", Chip: "0", Name: "MTT S4000"},
		MemoryTotal: gpu.Known(48 << 30), MemoryUsed: gpu.Known(1.5 * (1 << 30)),
		PowerUsed:       gpu.Known(153.59),
		Clocks:          []gpu.Clock{{Part: "graphics", Now: gpu.Known(1.6e9)}},
		Remapped:        []gpu.Remapped{{Cause: gpu.Corrected, Count: 3}, {Cause: gpu.Uncorrected, Count: 1}},
		RowRemapPending: gpu.Known(1),
	}}
	if diff := cmp.Diff(want, devices, smitest.Values()); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestProcesses(t *testing.T) {
	const head = "    mthreads-gmi:2.3.2           Driver Version:3.3.5-server\nProcesses:\nID PID Process name GPU Memory\n Usage\n+----+\n"
	devices := func() []gpu.Device {
		return []gpu.Device{{Identity: gpu.Identity{Index: "0"}}, {Identity: gpu.Identity{Index: "3"}}}
	}
	for _, c := range []struct {
		name, out string
		want      [2][]gpu.Process
		known     bool
		bad       string
	}{
		{"none", head + "   No running processes found\n-----\n", [2][]gpu.Process{}, true, ""},
		{
			"blanks in a command, one process on two GPUs", head + "0    42  python3 train.py --name a  1.5GiB\n3    42  python3 train.py --name a  512MiB\n3 43 N/A\n----\n",
			[2][]gpu.Process{{{PID: 42, Memory: gpu.Known(1.5 * (1 << 30))}}, {{PID: 42, Memory: gpu.Known(512 << 20)}, {PID: 43}}},
			true, "",
		},
		{"a row of another GPU", head + "7 42 python3 1MiB\n3 43 sh 1MiB\n----\n", [2][]gpu.Process{nil, {{PID: 43, Memory: gpu.Known(1 << 20)}}}, true, "7 42"},
		{"a row without unit", head + "3 43 sh 1\n----\n", [2][]gpu.Process{}, true, "3 43"},
		{"no PID", head + "3 sh 1MiB\n----\n", [2][]gpu.Process{}, true, `got "3 ..."`},
		{"cut", head + "3 43 sh 1MiB\n", [2][]gpu.Process{}, false, "end of the overview"},
		{"other columns", strings.Replace(head, "ID PID", "PID ID", 1) + "3 43 sh 1MiB\n----\n", [2][]gpu.Process{}, false, "header"},
		{"not offered", "    mthreads-gmi:2.3.2           Driver Version:3.3.5-server\nError: the requested operation is not available\n", [2][]gpu.Process{}, false, ""},
		{"not this tool", "bash: syntax error\n", [2][]gpu.Process{}, false, "end of the overview"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := devices()
			err := addProcesses(got, []byte(c.out))
			if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("error %v, want %q", err, c.bad)
			}
			if diff := cmp.Diff(c.want, [2][]gpu.Process{got[0].Processes, got[1].Processes}, smitest.Values()); diff != "" || got[0].ProcessesKnown != c.known {
				t.Errorf("known %v (-want +got)\n%s", got[0].ProcessesKnown, diff)
			}
		})
	}
}

// TestProcessesThatFail sees that GPUs stay without their processes.
func TestProcessesThatFail(t *testing.T) {
	query, fails := recorded.Play("s5000"), errors.New("mthreads-gmi: exit status 1")
	b := New(Options{Run: func(ctx context.Context, name string, args ...string) ([]byte, error) {
		if len(args) == 0 {
			return nil, fails
		}
		return query(ctx, name, args...)
	}})
	r, err := b.Read(t.Context())
	if len(r.Devices) != 2 || !errors.Is(err, fails) || r.Devices[0].ProcessesKnown {
		t.Errorf("got %v, %v", r, err)
	}
}

// TestNoGPUs sees that a tool that lists no GPU is no such machine, unless it had some.
func TestNoGPUs(t *testing.T) {
	query := recorded.Play("s5000")
	b := New(Options{Run: func(ctx context.Context, name string, args ...string) ([]byte, error) {
		return query(ctx, name, args...)
	}})
	empty := func(context.Context, string, ...string) ([]byte, error) {
		return []byte(`{"Attached GPUs":"0","GPU":[]}`), nil
	}
	if _, err := New(Options{Run: empty}).Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) {
		t.Errorf("got %v, want gpu.ErrAbsent", err)
	}
	if _, err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	query = empty
	if r, err := b.Read(t.Context()); err != nil || len(r.Devices) != 0 {
		t.Errorf("got %v, %v, want an empty reading", r, err)
	}
}

// TestBudget sees that a table that does not come in time costs no GPU.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { smitest.Stuck(t, recorded.Play("s5000"), "", open) })
}

// TestErrorsKeepSecrets sees that no error has what stands on a command line, and that many errors are one of bounded size.
func TestErrorsKeepSecrets(t *testing.T) {
	const head = "mthreads-gmi:2.3.2 Driver\nProcesses:\nID PID Process name GPU Memory\n Usage\n+----+\n"
	const row = "0    42  serve --api-key sk-secret\n"
	for _, out := range []string{head + row, head + strings.Repeat(row, maxProcesses) + "----\n", head + strings.Repeat("0 1 sk-secret N/A\n", maxProcesses+1), "Processes:\n" + row} {
		err := addProcesses([]gpu.Device{{Identity: gpu.Identity{Index: "0"}}}, []byte(out))
		if err == nil || strings.Contains(err.Error(), "secret") || len(err.Error()) > 4000 {
			t.Errorf("%.80q: %d bytes: %.300v", out, len(fmt.Sprint(err)), err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"s5000", "x10000", "s90"} {
		f.Add(smitest.Fixture(f, name+".query.json"), smitest.Fixture(f, name+".overview.txt"))
	}
	f.Fuzz(func(t *testing.T, query, overview []byte) {
		devices, _ := readDevices(query)
		_ = addProcesses(devices, overview)
		if len(devices) > maxDevices || len(smitest.Page(devices)) > 64*(len(query)+len(overview))+1<<16 {
			t.Errorf("%d GPUs of %d bytes", len(devices), len(query))
		}
		for _, d := range devices {
			smitest.CheckDevice(t, &d)
		}
	})
}
