package hygon

import (
	"context"
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi/smitest"
)

var update = flag.Bool("update", false, "write the golden files")

const measuring = "hy-smi --showproductname --showpower --showtemp --showuse --showmeminfo vram -c --json"

func TestGolden(t *testing.T) {
	for _, name := range []string{"bw-json", "z100-text"} {
		t.Run(name, func(t *testing.T) {
			b := New(Options{Run: smitest.Recorded(t, "testdata/"+name+".txt").Run})
			defer b.Close()
			r, err := b.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			smitest.Golden(t, "testdata/"+name+".golden", smitest.Page(r), *update)
		})
	}
}

func TestProcesses(t *testing.T) {
	type card struct {
		Index     string
		Known     bool
		Processes []gpu.Process
	}
	for name, want := range map[string][]card{
		"bw-json": {
			{"0", true, []gpu.Process{{PID: 3865170}}},
			{"1", true, []gpu.Process{{PID: 2004092, Memory: gpu.Known(9649 << 20)}, {PID: 3865170}}},
			{"2", true, nil},
		},
		"z100-text": {{"1", false, nil}, {"2", false, nil}},
	} {
		r, err := New(Options{Run: smitest.Recorded(t, "testdata/"+name+".txt").Run}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []card
		for _, d := range r.Devices {
			got = append(got, card{d.Index, d.ProcessesKnown, d.Processes})
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b gpu.Value) bool { return a == b })); diff != "" {
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

func TestMissingTool(t *testing.T) {
	b := New(Options{Run: smitest.Absent})
	if b.Vendor() != "hygon" || b.MinInterval() <= 0 {
		t.Error(b.Vendor(), b.MinInterval())
	}
	if _, err := b.Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) {
		t.Errorf("got %v, want ErrAbsent", err)
	}
}

func TestFaults(t *testing.T) {
	good := smitest.Recorded(t, "testdata/bw-json.txt").Output(measuring)
	for _, test := range []struct{ name, out, want string }{
		{"nothing", "", "cards, as JSON or as lines HCU[n]"},
		{"text", "WARNING: No DCU devices\n", "No DCU devices"},
		{"no cards", `{"system": {"Driver version": "1"}}`, "cards, as JSON"},
		{"cut", good[:len(good)/2], "JSON: "},
		{"cut at a field", good[:strings.Index(good, `"card1"`)], "JSON: a string"},
		{"a card twice", strings.Replace(good, `"card1"`, `"card0"`, 1), "a card twice"},
		{"a field twice", strings.Replace(good, `"Average GFX Core Power (W)"`, `"HCU use (%)"`, 1), "a field twice"},
		{"a list", `{"card0": {"HCU use (%)": ["1"]}}`, "a string or number"},
		{"another form", `[{"gpu": 0, "use": 1}]`, "JSON: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			tool := smitest.Recorded(t, "testdata/bw-json.txt")
			tool.Set(measuring, test.out, 0)
			r, err := New(Options{Run: tool.Run}).Read(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || len(r.Devices) != 0 {
				t.Errorf("got %d cards, %v, want %q", len(r.Devices), err, test.want)
			}
		})
	}
}

// What is wrong with another output than the first costs what it says and nothing else.
func TestFaultsBeside(t *testing.T) {
	for _, test := range []struct{ command, out, want string }{
		{"hy-smi", "HCU Temp AvgPwr Perf VRAM% HCU%\n0 1C 1W auto 0% 0%\n", "its table with a column PwrCap"},
		{"hy-smi", "HCU Temp AvgPwr Perf PwrCap\n0 1C 1W auto 1W more\n", "a row of its table with 5 columns"},
		{"hy-smi --showpids", "PIDs for KFD processes:\nPID: 7\n\tHCU Index: ['9']\n", "cards of process 7"},
		{"hy-smi --showuniqueid --showbus --json", "{", "JSON"},
	} {
		tool := smitest.Recorded(t, "testdata/bw-json.txt")
		tool.Set(test.command, test.out, 0)
		r, err := New(Options{Run: tool.Run}).Read(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || len(r.Devices) != 3 {
			t.Errorf("%s: got %d cards, %v, want %q", test.command, len(r.Devices), err, test.want)
		}
	}
}

func TestFewerOptions(t *testing.T) {
	tool := smitest.Recorded(t, "testdata/z100-text.txt")
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
		tool := smitest.Recorded(t, "testdata/bw-json.txt")
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

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		tool := smitest.Recorded(f, file)
		for _, command := range []string{measuring, "hy-smi", "hy-smi --showpids"} {
			f.Add([]byte(tool.Output(command)))
		}
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		all := func(context.Context, string, ...string) ([]byte, error) { return out, nil }
		r, err := New(Options{Run: all}).Read(t.Context())
		if err == nil && len(r.Devices) == 0 {
			t.Error("neither cards nor an error")
		}
		if len(r.Devices) > maxCards {
			t.Errorf("%d cards", len(r.Devices))
		}
		for _, d := range r.Devices {
			if d.Index == "" || d.Name == "" {
				t.Errorf("identity %+v", d.Identity)
			}
			if v, ok := d.Utilization.Get(); ok && (v < 0 || v > 1) {
				t.Errorf("utilization %v", v)
			}
		}
		parseProcesses(out)
	})
}
