package hygon

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi/smitest"
)

const measuring = "hy-smi --showproductname --showpower --showtemp --showuse --showmeminfo vram -c --json"

func open(run smi.Runner) gpu.Backend { return New(Options{Run: run}) }

func TestGolden(t *testing.T) { smitest.Goldens(t, open) }

func TestMissingTool(t *testing.T) { smitest.Missing(t, "hygon", open) }

func TestProcesses(t *testing.T) {
	type addRow struct {
		Index     string
		Known     bool
		Processes []gpu.Process
	}
	for name, want := range map[string][]addRow{
		"bw-json": {
			{"0", true, []gpu.Process{{PID: 3865170}}},
			{"1", true, []gpu.Process{{PID: 2004092, Memory: gpu.Known(9649 << 20)}, {PID: 3865170}}},
			{"2", true, nil},
		},
		"z100-text": {{"1", false, nil}, {"2", false, nil}},
	} {
		r, err := New(Options{Run: smitest.Recorded(t, name).Run}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []addRow
		for _, d := range r.Devices {
			got = append(got, addRow{d.Index, d.ProcessesKnown, d.Processes})
		}
		if diff := cmp.Diff(want, got, smitest.Values()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, none := range []string{"No KFD PIDs currently running!\n", "PIDs for KFD processes:\n\n=====\n"} {
		if list, known, err := parseProcesses([]byte(none)); len(list) > 0 || !known || err != nil {
			t.Errorf("%q: got %v, %v, %v", none, list, known, err)
		}
	}
	for _, bad := range []string{"", "nonsense", "PIDs for KFD processes:\n123 456\n", "PIDs for KFD processes:\nPID: x\n", "PIDs for KFD processes:\nPID: 0\n"} {
		if list, known, err := parseProcesses([]byte(bad)); known || err == nil {
			t.Errorf("%q: got %v, %v, %v", bad, list, known, err)
		}
	}
}

func TestFaults(t *testing.T) {
	good := smitest.Recorded(t, "bw-json").Output(measuring)
	for _, test := range []struct{ name, out, want string }{
		{"nothing", "", "DCUs, as JSON or as lines HCU[n]"},
		{"text", "WARNING: No DCU devices\n", "No DCU devices"},
		{"no DCUs", `{"system": {"Driver version": "1"}}`, "DCUs, as JSON"},
		{"cut", good[:len(good)/2], "JSON: "},
		{"cut at a field", good[:strings.Index(good, `"card1"`)], "JSON: a string"},
		{"a DCU twice", strings.Replace(good, `"card1"`, `"card0"`, 1), "a DCU twice"},
		{"a field twice", strings.Replace(good, `"Average GFX Core Power (W)"`, `"HCU use (%)"`, 1), "a field twice"},
		{"a list", `{"card0": {"HCU use (%)": ["1"]}}`, "a string or number"},
		{"another form", `[{"gpu": 0, "use": 1}]`, "JSON: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			tool := smitest.Recorded(t, "bw-json")
			tool.Set(measuring, test.out, 0)
			r, err := New(Options{Run: tool.Run}).Read(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || len(r.Devices) != 0 {
				t.Errorf("got %d DCUs, %v, want %q", len(r.Devices), err, test.want)
			}
		})
	}
}

// What is wrong with another output than the first costs what it says and nothing else.
func TestFaultsBeside(t *testing.T) {
	for _, test := range []struct{ command, out, want string }{
		{"hy-smi", "HCU Temp AvgPwr Perf VRAM% HCU%\n0 1C 1W auto 0% 0%\n", "its table with a column PwrCap"},
		{"hy-smi", "HCU Temp AvgPwr Perf PwrCap\n0 1C 1W auto 1W more\n", "a row of its table with 5 columns"},
		{"hy-smi --showpids", "PIDs for KFD processes:\nPID: 7\n\tHCU Index: ['9']\n", "DCUs of process 7"},
		{"hy-smi --showuniqueid --showbus --json", "{", "JSON"},
	} {
		tool := smitest.Recorded(t, "bw-json")
		tool.Set(test.command, test.out, 0)
		r, err := New(Options{Run: tool.Run}).Read(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || len(r.Devices) != 3 {
			t.Errorf("%s: got %d DCUs, %v, want %q", test.command, len(r.Devices), err, test.want)
		}
	}
}

func TestFewerOptions(t *testing.T) {
	tool := smitest.Recorded(t, "z100-text")
	tool.Set(measuring, "usage: hy-smi\n", 2)
	if _, err := New(Options{Run: tool.Run}).Read(t.Context()); err == nil {
		t.Error("a failing tool gave a reading")
	}
	tool.Set(measuring, "error: unrecognized arguments: --showmeminfo vram\n", 2)
	tool.Set("hy-smi --showproductname --showpower --showtemp --showuse --json", `{"card1": {"DCU use (%)": "75"}}`, 0)
	r, err := New(Options{Run: tool.Run}).Read(t.Context())
	if err != nil || len(r.Devices) != 1 || r.Devices[0].Utilization != gpu.Known(0.75) {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tool := smitest.Recorded(t, "bw-json")
		b := New(Options{Run: tool.Run})
		runs := 0
		for range 12 * 60 {
			if _, err := b.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			runs += len(tool.Calls())
			time.Sleep(5 * time.Second)
		}
		if want := 12*60*2 + 6*4; runs != want {
			t.Errorf("%d runs in an hour, want %d", runs, want)
		}
	})
}

// TestIdentityOfOtherDCUs sees that what was told of DCUs by their index does not go to others.
func TestIdentityOfOtherDCUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const naming = "hy-smi --showuniqueid --showbus --json"
		tool := smitest.Recorded(t, "bw-json")
		tool.Set("hy-smi --showpids", "No KFD PIDs currently running!\n", 0)
		b := open(tool.Run)
		smitest.Read(t, b)
		out, named := tool.Output(measuring), tool.Output(naming)
		tool.Set(measuring, "{"+strings.Replace(out[strings.Index(out, `"card1"`):], `"card1"`, `"card0"`, 1), 0)
		tool.Set(naming, "busy\n", 1)
		r, err := b.Read(t.Context())
		if err == nil || len(r.Devices) != 2 || r.Devices[0].UUID != "" || r.Devices[0].PCI != "" || r.Devices[0].Utilization != gpu.Known(0) {
			t.Fatalf("got %+v, %v", r, err)
		}
		tool.Set(naming, "{"+strings.Replace(named[strings.Index(named, `"card1"`):], `"card1"`, `"card0"`, 1), 0)
		time.Sleep(again)
		if r, err = b.Read(t.Context()); err != nil || r.Devices[0].UUID != "TAP34123070901" {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { smitest.Stuck(t, smitest.Recorded(t, "bw-json").Run, "--showpids", open) })
}

func FuzzRead(f *testing.F) {
	for _, name := range smitest.Cases(f) {
		tool := smitest.Recorded(f, name)
		for _, command := range []string{measuring, "hy-smi", "hy-smi --showpids"} {
			f.Add([]byte(tool.Output(command)))
		}
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		all := func(context.Context, string, ...string) ([]byte, error) { return out, nil }
		r, err := New(Options{Run: all}).Read(t.Context())
		if err == nil && len(r.Devices) == 0 {
			t.Error("neither DCUs nor an error")
		}
		if len(r.Devices) > maxDevices {
			t.Errorf("%d DCUs", len(r.Devices))
		}
		for _, d := range r.Devices {
			smitest.CheckDevice(t, &d)
		}
		parseProcesses(out)
	})
}
